package web

import (
	"bytes"
	"encoding/base64"
	"html/template"
	"image/png"
	"net/http"
	"strings"

	"github.com/boombuler/barcode"
	"github.com/boombuler/barcode/qr"

	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/fault"
)

// linkPage is the page behind an invite or a reset.
type linkPage struct {
	User      string
	Secret    string // of the second factor, in groups of four; empty when none is demanded
	QR        template.URL
	MinLength int32
	Reset     bool
	Problem   string // of the form that was sent
}

// showLink shows the form that sets password and second factor.
func (h *Handler) showLink(w http.ResponseWriter, r *http.Request) {
	h.linkForm(w, r, http.StatusOK, "")
}

func (h *Handler) linkForm(w http.ResponseWriter, r *http.Request, status int, problem string) {
	invite, err := h.cfg.Auth.Login.GetInvite(r.Context(), &sallyportv1.GetInviteRequest{
		Token: r.PathValue("token"), ClientAddress: r.RemoteAddr,
	})
	if err != nil {
		h.page(w, fault.HTTPStatus(fault.KindOf(err)), "message.html", message{"This link does not work", fault.Message(err)})
		return
	}
	page := linkPage{
		User: invite.GetUser(), MinLength: invite.GetMinimumPasswordLength(), Problem: problem,
		Reset: strings.HasPrefix(r.URL.Path, "/web/reset/"), Secret: grouped(invite.GetTotpSecret()),
	}
	if uri := invite.GetTotpUri(); uri != "" {
		if page.QR, err = qrCode(uri); err != nil {
			h.cfg.Logger.Error("QR code failed", "error", err)
		}
	}
	h.page(w, status, "invite.html", page)
}

// acceptLink sets password and second factor.
func (h *Handler) acceptLink(w http.ResponseWriter, r *http.Request) {
	if !sameOrigin(r) {
		h.page(w, http.StatusForbidden, "message.html", message{"Not accepted", "The form was sent from another site. Open the link from your invitation again."})
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil {
		h.linkForm(w, r, http.StatusBadRequest, "The form could not be read. Try again.")
		return
	}
	if r.PostForm.Get("password") != r.PostForm.Get("repeated") {
		h.linkForm(w, r, http.StatusBadRequest, "The two passwords differ.")
		return
	}
	res, err := h.cfg.Auth.Login.AcceptInvite(r.Context(), &sallyportv1.AcceptInviteRequest{
		Token: r.PathValue("token"), Password: r.PostForm.Get("password"),
		TotpCode: strings.ReplaceAll(r.PostForm.Get("code"), " ", ""), ClientAddress: r.RemoteAddr,
	})
	if fault.Is(err, fault.BadParameter) {
		h.linkForm(w, r, http.StatusBadRequest, fault.Message(err))
		return
	}
	if err != nil {
		h.page(w, fault.HTTPStatus(fault.KindOf(err)), "message.html", message{"This did not work", fault.Message(err)})
		return
	}
	h.page(w, http.StatusOK, "done.html", map[string]string{"User": res.GetUser(), "Addr": h.cfg.PublicAddr})
}

// qrCode returns an image of the text as a data URL.
func qrCode(text string) (template.URL, error) {
	code, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		return "", err
	}
	scaled, err := barcode.Scale(code, 240, 240)
	if err != nil {
		return "", err
	}
	var image bytes.Buffer
	if err := png.Encode(&image, scaled); err != nil {
		return "", err
	}
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(image.Bytes())), nil
}

// grouped writes a secret in groups of four, for people who type it.
func grouped(secret string) string {
	var out strings.Builder
	for i, c := range secret {
		if i > 0 && i%4 == 0 {
			out.WriteByte(' ')
		}
		out.WriteRune(c)
	}
	return out.String()
}

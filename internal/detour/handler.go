package detour

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/coder/websocket"
)

// Path is where a proxy takes detours, below its web address.
const Path = "/webapi/connectionupgrade"

// subprotocol says what is inside the WebSocket (RFC 6455, section 1.9): a connection that protocols are told
// apart on by ALPN.
const subprotocol = "alpn"

// Accept turns a request for a detour into the connection inside it, which the caller owns. Its addresses are
// those of the request. Errors have been answered.
func Accept(w http.ResponseWriter, r *http.Request) (*Conn, error) {
	remote, err := addressOf(r.RemoteAddr)
	if err != nil {
		return nil, refuse(w, http.StatusInternalServerError, "the client has no address")
	}
	switch {
	case len(r.Header.Values("Origin")) > 0:
		return nil, refuse(w, http.StatusForbidden, "this address is for tsh and teleport; browsers have no business here")
	case !slices.ContainsFunc(r.Header.Values("Sec-WebSocket-Protocol"), offersSubprotocol):
		return nil, refuse(w, http.StatusBadRequest, "a detour is a WebSocket of the protocol "+subprotocol)
	}
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{subprotocol}})
	if err != nil {
		return nil, err
	}
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return newConn(ws, local, remote), nil
}

func offersSubprotocol(list string) bool {
	return slices.ContainsFunc(strings.Split(list, ","), func(one string) bool { return strings.TrimSpace(one) == subprotocol })
}

// Refusal is why a request for a detour was turned down.
type Refusal string

func (r Refusal) Error() string { return string(r) }

func refuse(w http.ResponseWriter, status int, why Refusal) error {
	http.Error(w, string(why), status)
	return why
}

func addressOf(text string) (net.Addr, error) {
	address, err := netip.ParseAddrPort(text)
	if err != nil {
		return nil, err
	}
	return net.TCPAddrFromAddrPort(address), nil
}

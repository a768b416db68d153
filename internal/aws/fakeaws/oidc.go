package fakeaws

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"time"
)

// Issuer is an OIDC issuer, such as the one of a Kubernetes cluster whose service accounts assume roles.
type Issuer struct {
	URL   string
	key   *rsa.PrivateKey
	keyID string
	world *World
}

// Claims are what a token says, besides issuer and times.
type Claims struct {
	Subject  string
	Audience string // default sts.amazonaws.com
	Lifetime time.Duration
}

// AddIssuer makes an issuer whose tokens STS can check, once an account has a provider for its URL.
func (w *World) AddIssuer(url string) (*Issuer, error) {
	key, err := rsa.GenerateKey(w.config.Random, 2048)
	if err != nil {
		return nil, fmt.Errorf("making the key of issuer %s: %w", url, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	i := &Issuer{URL: url, key: key, keyID: fmt.Sprintf("%x", w.random(8)), world: w}
	w.issuers[url] = i
	return i, nil
}

// Token issues a token.
func (i *Issuer) Token(c Claims) (string, error) {
	if c.Audience == "" {
		c.Audience = "sts.amazonaws.com"
	}
	if c.Lifetime == 0 {
		c.Lifetime = time.Hour
	}
	now := i.world.Now()
	header, err := json.Marshal(map[string]any{"alg": "RS256", "typ": "JWT", "kid": i.keyID})
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(map[string]any{"iss": i.URL, "sub": c.Subject, "aud": []string{c.Audience},
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(c.Lifetime).Unix()})
	if err != nil {
		return "", err
	}
	signed := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(payload)
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(i.world.config.Random, i.key, crypto.SHA256, digest[:])
	if err != nil {
		return "", err
	}
	token := signed + "." + base64.RawURLEncoding.EncodeToString(signature)
	i.world.mu.Lock()
	defer i.world.mu.Unlock()
	return i.world.secret(token), nil
}

// Handler serves the discovery document and the keys below the issuer's URL.
func (i *Issuer) Handler() http.Handler {
	mux := http.NewServeMux()
	serve := func(value any) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(value) // a client that went away has no use for the rest
		}
	}
	mux.HandleFunc("GET /.well-known/openid-configuration", serve(map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "/keys",
		"response_types_supported": []string{"id_token"}, "subject_types_supported": []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256"}}))
	mux.HandleFunc("GET /keys", serve(map[string]any{"keys": []any{map[string]any{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": i.keyID,
		"n": base64.RawURLEncoding.EncodeToString(i.key.N.Bytes()),
		"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(i.key.E)).Bytes())}}}))
	return mux
}

type webIdentity struct {
	Issuer    string          `json:"iss"`
	Subject   string          `json:"sub"`
	RawAud    json.RawMessage `json:"aud"`
	NotBefore int64           `json:"nbf"`
	Expires   int64           `json:"exp"`
	audiences []string
}

var errNotAToken = errors.New("the ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)")

// readToken takes a token apart without believing it, to learn who is said to have issued it.
func readToken(token string) (claims webIdentity, header struct{ Alg, Kid string }, signed string, signature []byte, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return claims, header, "", nil, errNotAToken
	}
	for n, into := range []any{&header, &claims} {
		text, err := base64.RawURLEncoding.DecodeString(parts[n])
		if err != nil || json.Unmarshal(text, into) != nil {
			return claims, header, "", nil, errNotAToken
		}
	}
	if json.Unmarshal(claims.RawAud, &claims.audiences) != nil {
		var one string
		if json.Unmarshal(claims.RawAud, &one) != nil {
			return claims, header, "", nil, errNotAToken
		}
		claims.audiences = []string{one}
	}
	if signature, err = base64.RawURLEncoding.DecodeString(parts[2]); err != nil {
		return claims, header, "", nil, errNotAToken
	}
	return claims, header, parts[0] + "." + parts[1], signature, nil
}

func (i *Issuer) verify(alg, kid, signed string, signature []byte) bool {
	digest := sha256.Sum256([]byte(signed))
	return alg == "RS256" && kid == i.keyID && rsa.VerifyPKCS1v15(&i.key.PublicKey, crypto.SHA256, digest[:], signature) == nil
}

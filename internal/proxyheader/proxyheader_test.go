package proxyheader_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/pires/go-proxyproto"

	"sallyport/internal/proxyheader"
)

const signature = "\r\n\r\n\x00\r\nQUIT\n"

// written returns the header that another program's library makes.
func written(t testing.TB, version byte, client, proxy netip.AddrPort) string {
	t.Helper()
	header := proxyproto.HeaderProxyFromAddrs(version, net.TCPAddrFromAddrPort(client), net.TCPAddrFromAddrPort(proxy))
	data, err := header.Format()
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// binary returns a header of version 2 from its parts.
func binary(versionAndCommand, family byte, size int, rest string) string {
	return signature + string([]byte{versionAndCommand, family, byte(size >> 8), byte(size)}) + rest
}

// counted counts what is read, which comes in pieces of one byte or of all that is asked for.
type counted struct {
	rest  string
	piece int
	read  int
}

func (c *counted) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), c.piece)], c.rest)
	c.rest = c.rest[n:]
	c.read += n
	return n, nil
}

func TestRead(t *testing.T) {
	t.Parallel()
	const four, six = "\xc0\x00\x02\x01\xc0\x00\x02\x02\x00\x50\x01\xbb", "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x50\x01\xbb"
	mapped := strings.Repeat("\x00", 10) + "\xff\xff\xc0\x00\x02\x01"
	for _, c := range []struct {
		rule, header, client string // no client: none is named; "refused": an error
	}{
		{"version 1 over IPv4", "PROXY TCP4 192.0.2.1 192.0.2.2 80 443\r\n", "192.0.2.1:80"},
		{"version 1 over IPv6", "PROXY TCP6 2001:db8::1 2001:db8::2 80 443\r\n", "[2001:db8::1]:80"},
		{"IPv4 within IPv6 is IPv4", "PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 80 443\r\n", "192.0.2.1:80"},
		{"unknown", "PROXY UNKNOWN\r\n", ""},
		{"unknown with something", "PROXY UNKNOWN 192.0.2.1 192.0.2.2 80 443\r\n", ""},
		{"the longest line", "PROXY UNKNOWN " + strings.Repeat("f", 91) + "\r\n", ""},
		{"a line that is too long", "PROXY UNKNOWN " + strings.Repeat("f", 92) + "\r\n", "refused"},
		{"a line without end", "PROXY TCP4 " + strings.Repeat("1", 500), "refused"},
		{"a line without CR", "PROXY TCP4 192.0.2.1 192.0.2.2 80 443\n", "refused"},
		{"a line that is cut off", "PROXY TCP4 192.0.2.1 192.0.2.2 80 443\r", "refused"},
		{"another family", "PROXY UDP4 192.0.2.1 192.0.2.2 80 443\r\n", "refused"},
		{"an unknown that is longer", "PROXY UNKNOWNS\r\n", "refused"},
		{"IPv6 as IPv4", "PROXY TCP4 2001:db8::1 2001:db8::2 80 443\r\n", "refused"},
		{"IPv4 as IPv6", "PROXY TCP6 192.0.2.1 192.0.2.2 80 443\r\n", "refused"},
		{"a zone", "PROXY TCP6 fe80::1%eth0 fe80::2 80 443\r\n", "refused"},
		{"a name", "PROXY TCP4 localhost 192.0.2.2 80 443\r\n", "refused"},
		{"a bad destination", "PROXY TCP4 192.0.2.1 here 80 443\r\n", "refused"},
		{"a missing field", "PROXY TCP4 192.0.2.1 192.0.2.2 80\r\n", "refused"},
		{"one field more", "PROXY TCP4 192.0.2.1 192.0.2.2 80 443 1\r\n", "refused"},
		{"two spaces", "PROXY TCP4  192.0.2.1 192.0.2.2 80 443\r\n", "refused"},
		{"a port out of range", "PROXY TCP4 192.0.2.1 192.0.2.2 65536 443\r\n", "refused"},
		{"a port with zeros", "PROXY TCP4 192.0.2.1 192.0.2.2 080 443\r\n", "refused"},
		{"a port with a sign", "PROXY TCP4 192.0.2.1 192.0.2.2 +80 443\r\n", "refused"},
		{"no address", "PROXY TCP4 0.0.0.0 192.0.2.2 80 443\r\n", "refused"},
		{"no address of IPv6", "PROXY TCP6 :: 2001:db8::2 80 443\r\n", "refused"},
		{"no address within IPv6", "PROXY TCP6 ::ffff:0.0.0.0 2001:db8::2 80 443\r\n", "refused"},
		{"everybody's address", "PROXY TCP4 255.255.255.255 192.0.2.2 80 443\r\n", "refused"},
		{"a group's address", "PROXY TCP4 224.0.0.1 192.0.2.2 80 443\r\n", "refused"},
		{"a group's address of IPv6", "PROXY TCP6 ff02::1 2001:db8::2 80 443\r\n", "refused"},

		{"version 2 over IPv4", binary(0x21, 0x11, 12, four), "192.0.2.1:80"},
		{"version 2 over IPv6", binary(0x21, 0x21, 36, six), "[2001:db8::1]:80"},
		{"version 2 with IPv4 within IPv6", binary(0x21, 0x21, 36, mapped+mapped+"\x00\x50\x01\xbb"), "192.0.2.1:80"},
		{"more than addresses", binary(0x21, 0x11, 16, four+"\x04\x00\x01\x00"), "192.0.2.1:80"},
		{"local", binary(0x20, 0x00, 0, ""), ""},
		{"local with addresses", binary(0x20, 0x11, 12, four), ""},
		{"of no family", binary(0x21, 0x00, 12, four), ""},
		{"of a socket of Unix", binary(0x21, 0x31, 216, strings.Repeat("/", 216)), ""},
		{"the longest header", binary(0x20, 0x00, 4080, strings.Repeat("x", 4080)), ""},
		{"a header that is too long", binary(0x20, 0x00, 4081, strings.Repeat("x", 4081)), "refused"},
		{"the longest length", binary(0x21, 0x11, 65535, strings.Repeat("x", 65535)), "refused"},
		{"too short for IPv4", binary(0x21, 0x11, 11, four[:11]), "refused"},
		{"too short for IPv6", binary(0x21, 0x21, 35, six[:35]), "refused"},
		{"UDP over IPv4", binary(0x21, 0x12, 12, four), "refused"},
		{"UDP over IPv6", binary(0x21, 0x22, 36, six), "refused"},
		{"a family that does not exist", binary(0x21, 0x41, 12, four), "refused"},
		{"IPv4 without a protocol", binary(0x21, 0x10, 12, four), "refused"},
		{"another command", binary(0x22, 0x11, 12, four), "refused"},
		{"another version", binary(0x11, 0x11, 12, four), "refused"},
		{"a header that is cut off", binary(0x21, 0x11, 12, four[:11]), "refused"},
		{"half a signature", signature[:7], "refused"},
		{"another signature", "\r\n\r\n\x00\r\nQUIT\r\x21\x11\x00\x0c" + four, "refused"},
		{"version 2 from nowhere", binary(0x21, 0x11, 12, strings.Repeat("\x00", 12)), "refused"},

		{"nothing", "", "refused"},
		{"TLS", "\x16\x03\x01\x02\x00", "refused"},
		{"HTTP", "POST / HTTP/1.1\r\n\r\n", "refused"},
	} {
		for _, piece := range []int{1, 1 << 20} {
			r := &counted{rest: c.header + "what follows", piece: piece}
			if strings.Contains(c.rule, "cut off") || c.header == "" || strings.HasPrefix(c.rule, "half") {
				r.rest = c.header
			}
			client, err := proxyheader.Read(r)
			switch {
			case c.client == "refused":
				if err == nil || client.IsValid() {
					t.Errorf("%s: %v, %v", c.rule, client, err)
				}
			case err != nil || client.IsValid() != (c.client != "") || client.IsValid() && client.String() != c.client:
				t.Errorf("%s: %v, %v", c.rule, client, err)
			case r.rest != "what follows":
				t.Errorf("%s: %q is left", c.rule, r.rest)
			}
		}
	}
}

func TestWhatIsNoHeaderIsKnownAtOnce(t *testing.T) {
	t.Parallel()
	for text, read := range map[string]int{"\x16\x03\x01": 1, "\x00\x00\x00\x08": 1, "POST / HTTP/1.1": 2, "\r\n\r\nGET": 5} {
		r := &counted{rest: text, piece: 1}
		if _, err := proxyheader.Read(r); !errors.Is(err, proxyheader.ErrNone) || r.read != read {
			t.Errorf("%q: %d bytes were read, %v", text, r.read, err)
		}
	}
}

func TestBegins(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"PROXY TCP4 ": true, signature: true, "PROXY ": true, "PROXY": false, "PROPFIND / HTTP/1.1": false, "POST /": false, "\r\n\r\n\r\n\r\n\r\n\r\n": false,
		"GET /": false, "\x16\x03\x01": false,
	} {
		r := strings.NewReader(text[1:])
		if got := proxyheader.Begins(text[0], r); got != want {
			t.Errorf("%q: %t", text, got)
		}
	}
	r := strings.NewReader("ET /")
	if proxyheader.Begins('G', r); r.Len() != 4 {
		t.Error("something was read of what cannot be a header")
	}
}

// FuzzRead compares with a library of others, which makes and reads the same headers.
func FuzzRead(f *testing.F) {
	client, proxy := netip.MustParseAddrPort("192.0.2.1:80"), netip.MustParseAddrPort("192.0.2.2:443")
	client6, proxy6 := netip.MustParseAddrPort("[2001:db8::1]:80"), netip.MustParseAddrPort("[2001:db8::2]:443")
	for _, version := range []byte{1, 2} {
		f.Add([]byte(written(f, version, client, proxy)+"more"), client.Addr().AsSlice(), uint16(80))
		f.Add([]byte(written(f, version, client6, proxy6)), client6.Addr().AsSlice(), uint16(1))
	}
	for _, seed := range []string{
		"", "PROXY UNKNOWN\r\n", "PROXY UNKNOWN 1 2 3 4\r\n", "PROXY TCP4 192.0.2.1", "PROXY " + strings.Repeat("x", 200), "PROXY TCP6 ::ffff:192.0.2.1 :: 1 2\r\n", "PROXY TCP6 fe80::1%x :: 1 2\r\n",
		binary(0x20, 0, 0, ""), binary(0x21, 0, 0, ""), binary(0x21, 0x31, 216, strings.Repeat("u", 216)), binary(0x21, 0x11, 65535, "x"), binary(0x21, 0x11, 12, "xxx"), binary(0x21, 0xff, 3, "xxx"),
	} {
		f.Add([]byte(seed), []byte{224, 0, 0, 1}, uint16(9))
	}
	f.Fuzz(func(t *testing.T, data, address []byte, port uint16) {
		r := &counted{rest: string(data), piece: 1 << 20}
		got, err := proxyheader.Read(r)
		if r.read > proxyheader.MaxBinary || len(data) > 0 && data[0] == 'P' && r.read > proxyheader.MaxLine {
			t.Fatalf("%d bytes were read", r.read)
		}
		if err != nil && got.IsValid() {
			t.Fatalf("%v with %v", got, err)
		}
		if got.IsValid() {
			again := bytes.NewBufferString(written(t, 2, got, got))
			if back, err := proxyheader.Read(again); err != nil || back != got {
				t.Fatalf("%v is read as %v, %v", got, back, err)
			}
		}
		ip, ok := netip.AddrFromSlice(address)
		if !ok || ip.Unmap().IsUnspecified() || ip.Unmap().IsMulticast() || ip.Unmap().String() == "255.255.255.255" {
			return
		}
		want := netip.AddrPortFrom(ip.Unmap(), port)
		for _, version := range []byte{1, 2} {
			r := &counted{rest: written(t, version, netip.AddrPortFrom(ip, port), netip.AddrPortFrom(ip, 1)) + string(data), piece: 1 << 20}
			if got, err := proxyheader.Read(r); err != nil || got != want || r.rest != string(data) {
				t.Fatalf("version %d of %v is read as %v, %v, and %q is left", version, want, got, err, r.rest)
			}
		}
	})
}

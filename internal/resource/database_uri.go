package resource

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"sallyport/internal/yamlnode"
)

// checkURI refuses a URI that the agent could not dial, or that carries a password.
func (s *DatabaseSpec) checkURI() error {
	uri := s.URI
	if uri == "" {
		return s.checkNoURI()
	}
	if strings.ContainsFunc(uri, func(r rune) bool { return r <= ' ' || unprintable(r) }) {
		return errors.New("must not contain spaces or control characters")
	}
	scheme, rest, hasScheme := strings.Cut(uri, "://")
	protocol := ProtocolNamed(s.Protocol)
	if !hasScheme {
		return protocol.checkHostPort(uri, true)
	}
	if !slices.Contains(protocol.Schemes, scheme) {
		return fmt.Errorf("a %s database cannot have a URI that begins with %s://; write %s", s.Protocol, scheme, protocol.forms())
	}
	hosts, tail, _ := strings.Cut(rest, "/")
	if before, query, ok := strings.Cut(hosts, "?"); ok {
		hosts, tail = before, "?"+query
	}
	if strings.Contains(hosts, "@") {
		return errors.New("must not contain a user or password")
	}
	if _, err := url.Parse("x://h/" + tail); err != nil {
		return errors.New("is not a valid URI")
	}
	if s.Protocol == ProtocolRedis {
		if strings.Contains(hosts, ",") {
			return errors.New("must name one address; for a cluster any one of its nodes, with ?mode=cluster")
		}
		if _, err := ParseRedisURI(uri); err != nil {
			return err
		}
	}
	for host := range strings.SplitSeq(hosts, ",") {
		if err := protocol.checkHostPort(host, protocol.NoUsualPort); err != nil {
			return err
		}
	}
	return nil
}

// checkNoURI allows leaving out the URI where other keys say where the service is. Where a region of AWS
// does, the URI was filled in before.
func (s *DatabaseSpec) checkNoURI() error {
	switch s.Protocol {
	case ProtocolDynamoDB, ProtocolCassandra:
		return errors.New("is missing; write host:port, or aws.region and aws.account_id for the AWS service")
	case ProtocolSpanner:
		if s.GCP.ProjectID != "" && s.GCP.InstanceID != "" {
			return nil
		}
	}
	return errors.New("is missing; write host:port")
}

// forms says how a URI can be written.
func (p *Protocol) forms() string {
	if len(p.Schemes) == 0 {
		return "host:port"
	}
	var begins []string
	for _, scheme := range p.Schemes {
		begins = append(begins, scheme+"://")
	}
	return "host:port, or a URI that begins with " + yamlnode.AnyOf(begins)
}

func (p *Protocol) checkHostPort(address string, needsPort bool) error {
	if !needsPort && !strings.Contains(strings.TrimPrefix(address, "["), ":") {
		address += ":443" // only the form matters here
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q needs a host and a port, as in db.example.com:%s", address, cmp.Or(p.UsualPort, "5432"))
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("%q is not a port between 1 and 65535", port)
	}
	if host == "" {
		return fmt.Errorf("%q needs a host before the port", address)
	}
	if strings.ContainsAny(host, "/\\@?#,'\"") {
		return fmt.Errorf("%q is not a host name", host)
	}
	return nil
}

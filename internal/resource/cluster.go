package resource

import (
	"encoding/json"
	"regexp"
	"strings"
	"time"

	"sallyport/internal/yamlnode"
)

// DefaultSessionTTL is how long a login lasts when the cluster does not say.
const DefaultSessionTTL = 12 * time.Hour

// AuthPreference holds the cluster's rules for logging in.
type AuthPreference struct {
	Header
	Spec AuthPreferenceSpec `json:"spec"`
}

// AuthPreferenceSpec are the rules for logging in.
type AuthPreferenceSpec struct {
	Type                  string       `json:"type"`
	SecondFactor          string       `json:"second_factor,omitempty"`
	SecondFactors         Strings      `json:"second_factors,omitempty"`
	ConnectorName         string       `json:"connector_name,omitempty"`
	AllowLocalAuth        *Bool        `json:"allow_local_auth,omitempty"`
	DisconnectExpiredCert Bool         `json:"disconnect_expired_cert"`
	MessageOfTheDay       string       `json:"message_of_the_day,omitempty"`
	LockingMode           string       `json:"locking_mode"`
	RequireSessionMFA     MFAMode      `json:"require_session_mfa,omitempty"`
	DefaultSessionTTL     Duration     `json:"default_session_ttl"`
	AllowPasswordless     *Bool        `json:"allow_passwordless,omitempty"`
	AllowHeadless         *Bool        `json:"allow_headless,omitempty"`
	WebAuthn              *WebAuthn    `json:"webauthn,omitempty"`
	U2F                   *U2F         `json:"u2f,omitempty"`
	DeviceTrust           *DeviceTrust `json:"device_trust,omitempty"`

	// Settings without effect here are kept as written.
	IDP                     json.RawMessage `json:"idp,omitempty"`
	HardwareKey             json.RawMessage `json:"hardware_key,omitempty"`
	SignatureAlgorithmSuite string          `json:"signature_algorithm_suite,omitempty"`
	StableUnixUserConfig    json.RawMessage `json:"stable_unix_user_config,omitempty"`
}

// WebAuthn are the settings of passkeys and security keys.
type WebAuthn struct {
	RPID                  string  `json:"rp_id,omitempty"`
	AttestationAllowedCAs Strings `json:"attestation_allowed_cas,omitempty"`
	AttestationDeniedCAs  Strings `json:"attestation_denied_cas,omitempty"`
}

// U2F holds the application id of older security keys.
type U2F struct {
	AppID  string  `json:"app_id,omitempty"`
	Facets Strings `json:"facets,omitempty"`
}

// DeviceTrust says whether logins need an enrolled device.
type DeviceTrust struct {
	Mode       string `json:"mode,omitempty"`
	AutoEnroll Bool   `json:"auto_enroll,omitempty"`
}

// Validate implements Resource.
func (a *AuthPreference) Validate() error { return validate(a) }

func (a *AuthPreference) check(p *problems) {
	s := &a.Spec
	if s.Type == "" {
		s.Type = "local"
	}
	if s.SecondFactor == "" && len(s.SecondFactors) == 0 {
		s.SecondFactor = "otp"
	}
	s.checkProofs(p)
	if s.LockingMode == "" {
		s.LockingMode = BestEffort
	}
	checkOneOf(p, "spec.locking_mode", s.LockingMode, Strict, BestEffort)
	if s.DefaultSessionTTL == 0 {
		s.DefaultSessionTTL = Duration(DefaultSessionTTL)
	}
	if s.DefaultSessionTTL < 0 {
		p.add("spec.default_session_ttl", "must not be negative")
	}
	setDefault(&s.AllowLocalAuth, true)
	checkProse(p, "spec.message_of_the_day", s.MessageOfTheDay)
}

// checkProofs refuses what people would have to prove and this program cannot ask for: an administrator who
// wrote it would rely on it.
func (s *AuthPreferenceSpec) checkProofs(p *problems) {
	if s.Type != "local" {
		p.add("spec.type", "%q is not available in this program; use local", s.Type)
	}
	switch s.SecondFactor {
	case "", "otp", "on", "off":
	default:
		p.add("spec.second_factor", "%q is not available in this program; use otp, which asks everybody for a one-time code, or off", s.SecondFactor)
	}
	for i, factor := range s.SecondFactors {
		if factor != "otp" {
			p.add(yamlnode.IndexPath("spec.second_factors", i), "%q is not available in this program; use otp", factor)
		}
	}
	if s.WebAuthn != nil {
		p.add("spec.webauthn", "this program cannot ask for security keys yet; leave it out")
	}
	if s.U2F != nil {
		p.add("spec.u2f", "this program cannot ask for security keys yet; leave it out")
	}
	if s.DeviceTrust != nil && s.DeviceTrust.Mode != "" && s.DeviceTrust.Mode != "off" {
		p.add("spec.device_trust.mode", "this program cannot verify devices yet; leave it out or use off")
	}
	checkSessionMFA(p, "spec.require_session_mfa", s.RequireSessionMFA)
}

// checkSessionMFA refuses that sessions need a proof of their own: all of them would be refused.
func checkSessionMFA(p *problems, path string, mode MFAMode) {
	if mode.Required() {
		p.add(path, "this program cannot ask for a second factor at each session yet; leave it out or use false")
	}
}

// NetworkingConfig holds the cluster's time limits and routing.
type NetworkingConfig struct {
	Header
	Spec NetworkingConfigSpec `json:"spec"`
}

// NetworkingConfigSpec are time limits and routing; 0 means no limit unless a default is stated.
type NetworkingConfigSpec struct {
	ClientIdleTimeout      Duration        `json:"client_idle_timeout"`
	IdleTimeoutMessage     string          `json:"idle_timeout_message,omitempty"`
	WebIdleTimeout         Duration        `json:"web_idle_timeout,omitempty"`
	KeepAliveInterval      Duration        `json:"keep_alive_interval"`  // default 5m
	KeepAliveCountMax      int             `json:"keep_alive_count_max"` // default 3
	SessionControlTimeout  Duration        `json:"session_control_timeout,omitempty"`
	ProxyListenerMode      ListenerMode    `json:"proxy_listener_mode,omitempty"`
	RoutingStrategy        RoutingStrategy `json:"routing_strategy,omitempty"`
	TunnelStrategy         json.RawMessage `json:"tunnel_strategy,omitempty"`
	ProxyPingInterval      Duration        `json:"proxy_ping_interval,omitempty"`
	CaseInsensitiveRouting Bool            `json:"case_insensitive_routing,omitempty"`
	SSHDialTimeout         Duration        `json:"ssh_dial_timeout,omitempty"`
	AssistWorkers          int             `json:"assist_command_execution_workers,omitempty"` // kept, without effect
}

// ListenerMode is separate or multiplex.
type ListenerMode string

// UnmarshalJSON accepts the names and the numbers 0 and 1.
func (m *ListenerMode) UnmarshalJSON(data []byte) error {
	name, err := enumName(data, "separate", "multiplex")
	*m = ListenerMode(name)
	return err
}

// RoutingStrategy is unambiguous_match or most_recent.
type RoutingStrategy string

// UnmarshalJSON accepts the names and the numbers 0 and 1.
func (s *RoutingStrategy) UnmarshalJSON(data []byte) error {
	name, err := enumName(data, "unambiguous_match", "most_recent")
	*s = RoutingStrategy(name)
	return err
}

// Validate implements Resource.
func (n *NetworkingConfig) Validate() error { return validate(n) }

func (n *NetworkingConfig) check(p *problems) {
	s := &n.Spec
	if s.KeepAliveInterval == 0 {
		s.KeepAliveInterval = Duration(5 * time.Minute)
	}
	if s.KeepAliveCountMax == 0 {
		s.KeepAliveCountMax = 3
	}
	for _, d := range []struct {
		key   string
		value Duration
	}{
		{"client_idle_timeout", s.ClientIdleTimeout}, {"web_idle_timeout", s.WebIdleTimeout},
		{"keep_alive_interval", s.KeepAliveInterval}, {"session_control_timeout", s.SessionControlTimeout},
		{"proxy_ping_interval", s.ProxyPingInterval}, {"ssh_dial_timeout", s.SSHDialTimeout},
	} {
		if d.value < 0 {
			p.add("spec."+d.key, "must not be negative")
		}
	}
	if s.KeepAliveCountMax < 0 {
		p.add("spec.keep_alive_count_max", "must not be negative")
	}
	checkProse(p, "spec.idle_timeout_message", s.IdleTimeoutMessage)
}

// RecordingConfig says whether and where sessions are recorded. Audit events are written in any case.
type RecordingConfig struct {
	Header
	Spec RecordingConfigSpec `json:"spec"`
}

// RecordingConfigSpec is the mode of recording.
type RecordingConfigSpec struct {
	Mode                string `json:"mode"`
	ProxyChecksHostKeys *Bool  `json:"proxy_checks_host_keys,omitempty"`
	// StartGate is where the start of a session must be durable before its database is dialled.
	StartGate string `json:"start_gate,omitempty"`
	// OutageBudget is for how long sessions go on while no audit event reaches the auth server. Default
	// 15m; a negative one means for as long as the agent's disk has room.
	OutageBudget Duration `json:"outage_budget,omitempty"`
}

// RecordingOff is the mode without recordings.
const RecordingOff = "off"

// Places of StartGate.
const (
	StartGateLocal = "local" // the agent's disk
	StartGateAuth  = "auth"  // the auth server's log
)

// DefaultOutageBudget is the outage budget of a cluster that does not say.
const DefaultOutageBudget = 15 * time.Minute

// Validate implements Resource.
func (r *RecordingConfig) Validate() error { return validate(r) }

func (r *RecordingConfig) check(p *problems) {
	if r.Spec.Mode == "" {
		r.Spec.Mode = "node"
	}
	checkOneOf(p, "spec.mode", r.Spec.Mode, "node", "node-sync", "proxy", "proxy-sync", RecordingOff)
	if r.Spec.Mode == RecordingOff {
		p.warn("spec.mode", "is off, and has no effect in this program: every statement is recorded in any case")
	}
	setDefault(&r.Spec.ProxyChecksHostKeys, true)
	if r.Spec.StartGate == "" {
		r.Spec.StartGate = StartGateLocal
	}
	checkOneOf(p, "spec.start_gate", r.Spec.StartGate, StartGateLocal, StartGateAuth)
	if r.Spec.OutageBudget == 0 {
		r.Spec.OutageBudget = Duration(DefaultOutageBudget)
	}
}

var clusterLabel = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// ValidClusterName reports whether the name can be used in host names: labels of lower-case letters, digits and
// hyphens between dots, at most 190 bytes in all, so that a database's name fits before it.
func ValidClusterName(name string) bool {
	if name == "" || len(name) > 190 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if !clusterLabel.MatchString(label) {
			return false
		}
	}
	return true
}

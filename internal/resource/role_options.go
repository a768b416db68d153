package resource

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"sallyport/internal/yamlnode"
)

// DefaultMaxSessionTTL is how long certificates of a role's holders last at most when it does not say.
const DefaultMaxSessionTTL = 30 * time.Hour

// RoleOptions are settings that are combined over the roles of a user; see access.Options.
type RoleOptions struct {
	MaxSessionTTL           Duration   `json:"max_session_ttl,omitempty"`
	RequireSessionMFA       MFAMode    `json:"require_session_mfa,omitempty"`
	MFAVerificationInterval Duration   `json:"mfa_verification_interval,omitempty"`
	ClientIdleTimeout       Duration   `json:"client_idle_timeout,omitempty"` // 0 means the cluster's
	DisconnectExpiredCert   Bool       `json:"disconnect_expired_cert,omitempty"`
	Lock                    string     `json:"lock,omitempty"` // strict, best_effort; empty means the cluster's
	PinSourceIP             Bool       `json:"pin_source_ip,omitempty"`
	MaxConnections          int        `json:"max_connections,omitempty"` // of a user at each agent, not in the cluster; 0 means no limit
	MaxSessions             int        `json:"max_sessions,omitempty"`    // 0 means no limit
	RecordSession           *Recording `json:"record_session,omitempty"`
	MySQLLocalInfile        *Bool      `json:"mysql_local_infile,omitempty"` // LOAD DATA LOCAL may read files of the client
	DeviceTrustMode         string     `json:"device_trust_mode,omitempty"`
	CreateDatabaseUser      *Bool      `json:"create_db_user,omitempty"`
	CreateDatabaseUserMode  string     `json:"create_db_user_mode,omitempty"`
	RequestAccess           string     `json:"request_access,omitempty"`
	RequestPrompt           string     `json:"request_prompt,omitempty"`
	CertFormat              string     `json:"cert_format,omitempty"`

	// The rest concerns other kinds of resources and is kept as written.
	ForwardAgent             *Bool           `json:"forward_agent,omitempty"`
	PortForwarding           *Bool           `json:"port_forwarding,omitempty"`
	SSHPortForwarding        json.RawMessage `json:"ssh_port_forwarding,omitempty"`
	SSHFileCopy              *Bool           `json:"ssh_file_copy,omitempty"`
	PermitX11Forwarding      *Bool           `json:"permit_x11_forwarding,omitempty"`
	EnhancedRecording        Strings         `json:"enhanced_recording,omitempty"`
	MaxKubernetesConnections int             `json:"max_kubernetes_connections,omitempty"`
	DesktopClipboard         *Bool           `json:"desktop_clipboard,omitempty"`
	DesktopDirectorySharing  *Bool           `json:"desktop_directory_sharing,omitempty"`
	CreateDesktopUser        *Bool           `json:"create_desktop_user,omitempty"`
	CreateHostUser           *Bool           `json:"create_host_user,omitempty"`
	CreateHostUserMode       string          `json:"create_host_user_mode,omitempty"`
	CreateHostUserShell      string          `json:"create_host_user_default_shell,omitempty"`
	CertExtensions           json.RawMessage `json:"cert_extensions,omitempty"`
	IDP                      json.RawMessage `json:"idp,omitempty"`
}

// Recording says what happens to a session whose recording fails: strict ends it, best_effort goes on; and what is
// recorded beyond the usual.
type Recording struct {
	Default string `json:"default,omitempty"`
	SSH     string `json:"ssh,omitempty"`
	Desktop *Bool  `json:"desktop,omitempty"`
	// DatabaseProtocol records the protocol's own messages in sessions with databases, such as Parse and Bind.
	DatabaseProtocol Bool `json:"database_protocol,omitempty"`
}

// Modes of failing.
const (
	Strict     = "strict"
	BestEffort = "best_effort"
)

// Modes of CreateDatabaseUserMode.
const (
	CreateUserOff            = "off"
	CreateUserKeep           = "keep"
	CreateUserBestEffortDrop = "best_effort_drop"
)

// MFAMode says which proof each new session needs. The empty mode means none.
type MFAMode string

// Modes of MFAMode. Nothing asks for a proof yet, so all but MFAOff are refused when they are written, and
// sessions that need one are refused.
const (
	MFAOff                    MFAMode = ""
	MFASession                MFAMode = "session"
	MFAHardwareKey            MFAMode = "hardware_key"
	MFAHardwareKeyTouch       MFAMode = "hardware_key_touch"
	MFAHardwareKeyPIN         MFAMode = "hardware_key_pin"
	MFAHardwareKeyTouchAndPIN MFAMode = "hardware_key_touch_and_pin"
)

// Required reports whether a session needs a proof.
func (m MFAMode) Required() bool { return m != MFAOff }

// NeedsHardware reports whether only a hardware key will do.
func (m MFAMode) NeedsHardware() bool { return m != MFAOff && m != MFASession }

// MarshalJSON writes true for the ordinary mode, as people write it.
func (m MFAMode) MarshalJSON() ([]byte, error) {
	switch m {
	case MFAOff:
		return []byte("false"), nil
	case MFASession:
		return []byte("true"), nil
	default:
		return json.Marshal(string(m))
	}
}

// UnmarshalJSON accepts booleans, yes, no and the names of modes.
func (m *MFAMode) UnmarshalJSON(data []byte) error {
	switch name := MFAMode(strings.ToLower(strings.Trim(string(data), `"`))); name {
	case "false", "no", "off", "null", "":
		*m = MFAOff
	case "true", "yes", "on", MFASession:
		*m = MFASession
	case MFAHardwareKey, MFAHardwareKeyTouch, MFAHardwareKeyPIN, MFAHardwareKeyTouchAndPIN:
		*m = name
	default:
		return fmt.Errorf("%s is not known; use true, false, %s", data, yamlnode.AnyOf([]string{
			string(MFAHardwareKey), string(MFAHardwareKeyTouch), string(MFAHardwareKeyPIN), string(MFAHardwareKeyTouchAndPIN)}))
	}
	return nil
}

func (o *RoleOptions) check(p *problems) {
	const path = "spec.options."
	if o.MaxSessionTTL == 0 {
		o.MaxSessionTTL = Duration(DefaultMaxSessionTTL)
	}
	for _, d := range []struct {
		key   string
		value Duration
	}{
		{"max_session_ttl", o.MaxSessionTTL},
		{"mfa_verification_interval", o.MFAVerificationInterval},
		{"client_idle_timeout", o.ClientIdleTimeout},
	} {
		if d.value < 0 {
			p.add(path+d.key, "must not be negative")
		}
	}
	for _, n := range []struct {
		key   string
		value int
	}{
		{"max_connections", o.MaxConnections},
		{"max_sessions", o.MaxSessions},
		{"max_kubernetes_connections", o.MaxKubernetesConnections},
	} {
		if n.value < 0 {
			p.add(path+n.key, "must not be negative")
		}
	}
	checkOneOf(p, path+"lock", o.Lock, "", Strict, BestEffort)
	checkSessionMFA(p, path+"require_session_mfa", o.RequireSessionMFA)
	if o.MFAVerificationInterval > 0 {
		p.add(path+"mfa_verification_interval", "this program cannot ask for a second factor again yet; leave it out")
	}
	if o.DeviceTrustMode == "required" {
		p.add(path+"device_trust_mode", "this program cannot verify devices yet; leave it out or use off")
	} else {
		checkOneOf(p, path+"device_trust_mode", o.DeviceTrustMode, "", "off", "optional")
	}
	checkOneOf(p, path+"create_db_user_mode", o.CreateDatabaseUserMode, "", CreateUserOff, CreateUserKeep, CreateUserBestEffortDrop)
	if o.RequestAccess == "always" || o.RequestAccess == "reason" {
		p.add(path+"request_access", "this program has no access requests yet, so that nobody would get in; leave it out or use optional")
	} else {
		checkOneOf(p, path+"request_access", o.RequestAccess, "", "optional")
	}
	o.warn(p)
	if o.RecordSession == nil {
		o.RecordSession = &Recording{}
	}
	if o.RecordSession.Default == "" {
		o.RecordSession.Default = BestEffort
	}
	setDefault(&o.RecordSession.Desktop, true)
	checkOneOf(p, path+"record_session.default", o.RecordSession.Default, Strict, BestEffort)
	checkOneOf(p, path+"record_session.ssh", o.RecordSession.SSH, "", Strict, BestEffort)
}

// warn tells what has no effect.
func (o *RoleOptions) warn(p *problems) {
	const path = "spec.options."
	for _, one := range []struct {
		key    string
		unused bool
	}{
		{"max_sessions", o.MaxSessions > 0},
		{"create_db_user", o.CreateDatabaseUser != nil && bool(*o.CreateDatabaseUser)},
		{"create_db_user_mode", o.CreateDatabaseUserMode != "" && o.CreateDatabaseUserMode != CreateUserOff},
	} {
		if one.unused {
			p.warn(path+one.key, noEffect)
		}
	}
}

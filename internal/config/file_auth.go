package config

import (
	"net"
	"path/filepath"
	"strings"

	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// authSection is the section "auth_service".
type authSection struct {
	// Enabled: default yes.
	Enabled *resource.Bool `yaml:"enabled"`
	// ClusterName of a new cluster; it cannot be changed later. Default: made from the host's name.
	ClusterName string `yaml:"cluster_name"`
	// ListenAddr: default 0.0.0.0:3025.
	ListenAddr string `yaml:"listen_addr"`
	// PublicAddr has no effect: hosts know this service by its certificate, under whatever name they reach it.
	PublicAddr textList `yaml:"public_addr"`
	// Tokens that never expire, as in "db,node:secret"; the secret may be the absolute path of a file.
	Tokens textList `yaml:"tokens"`
	// EC2IdentityCertificates is the directory of the certificates with which EC2 signs identity documents, for the join
	// method ec2: us-west-2.pem holds those of us-west-2. Default: none, and no host joins with that method.
	EC2IdentityCertificates string `yaml:"ec2_identity_certificates"`
	// Authentication holds the rules for logging in.
	Authentication authenticationSection `yaml:"authentication"`
	// SessionRecording: node, node-sync, proxy, proxy-sync or off. Default node.
	SessionRecording string `yaml:"session_recording"`
	// SessionRecordingStartGate is where the start of a session must be durable before its database is dialled:
	// local, on the agent's disk, or auth, in the audit log. Default local.
	SessionRecordingStartGate string `yaml:"session_recording_start_gate"`
	// SessionRecordingOutageBudget is for how long sessions go on while events cannot be delivered; never ends
	// them only when the agent's disk is full. Default 15m.
	SessionRecordingOutageBudget *duration `yaml:"session_recording_outage_budget"`
	// ProxyChecksHostKeys is kept in the cluster's settings and has no effect.
	ProxyChecksHostKeys *resource.Bool `yaml:"proxy_checks_host_keys"`
	// ClientIdleTimeout ends sessions in which nothing happens. Default never.
	ClientIdleTimeout duration `yaml:"client_idle_timeout"`
	// ClientIdleTimeoutMessage is what the user of such a session reads. Default: a sentence with the time.
	ClientIdleTimeoutMessage string `yaml:"client_idle_timeout_message"`
	// WebIdleTimeout and the keys up to SSHDialTimeout, but one, are kept in the cluster's settings and have no effect.
	WebIdleTimeout duration `yaml:"web_idle_timeout"`
	// DisconnectExpiredCert ends sessions when the user's certificate does. Default no.
	DisconnectExpiredCert  resource.Bool            `yaml:"disconnect_expired_cert"`
	KeepAliveInterval      duration                 `yaml:"keep_alive_interval"`
	KeepAliveCountMax      int                      `yaml:"keep_alive_count_max"`
	SessionControlTimeout  duration                 `yaml:"session_control_timeout"`
	RoutingStrategy        resource.RoutingStrategy `yaml:"routing_strategy"`
	ProxyListenerMode      resource.ListenerMode    `yaml:"proxy_listener_mode"`
	CaseInsensitiveRouting resource.Bool            `yaml:"case_insensitive_routing"`
	SSHDialTimeout         duration                 `yaml:"ssh_dial_timeout"`
	// MessageOfTheDay is shown at logins. Default: none.
	MessageOfTheDay string `yaml:"message_of_the_day"`

	ProxyProtocol    noEffect `yaml:"proxy_protocol"`
	TunnelStrategy   noEffect `yaml:"tunnel_strategy"`
	LoadAllCAs       noEffect `yaml:"load_all_cas"`
	LicenseFile      noEffect `yaml:"license_file"`
	CAKeyParams      noEffect `yaml:"ca_key_params"`
	AccessMonitoring noEffect `yaml:"access_monitoring"`
	KubeconfigFile   noEffect `yaml:"kubeconfig_file"`
}

// authenticationSection is auth_service.authentication.
type authenticationSection struct {
	// Type: local. Default local.
	Type string `yaml:"type"`
	// LocalAuth: no keeps everybody from logging in with a password. Default yes.
	LocalAuth *resource.Bool `yaml:"local_auth"`
	// SecondFactor: otp, off, or on, which is the same as otp. Default otp.
	SecondFactor string `yaml:"second_factor"`
	// SecondFactors is the newer form of second_factor: otp.
	SecondFactors textList `yaml:"second_factors"`
	// WebAuthn and U2F are refused: security keys cannot be asked for yet.
	WebAuthn *webAuthn `yaml:"webauthn"`
	U2F      *struct {
		AppID  string   `yaml:"app_id"`
		Facets textList `yaml:"facets"`
	} `yaml:"u2f"`
	Passwordless  *resource.Bool `yaml:"passwordless"`
	Headless      *resource.Bool `yaml:"headless"`
	ConnectorName string         `yaml:"connector_name"`
	// RequireSessionMFA: no. A second factor at each session cannot be asked for yet, and everything else is refused.
	RequireSessionMFA resource.MFAMode `yaml:"require_session_mfa"`
	// LockingMode when the list of locks is out of date: best_effort or strict. Default best_effort.
	LockingMode string `yaml:"locking_mode"`
	// DefaultSessionTTL is how long a login lasts. Default 12h.
	DefaultSessionTTL duration `yaml:"default_session_ttl"`
	// DeviceTrust: devices cannot be verified yet, and mode can be off or optional only.
	DeviceTrust *struct {
		Mode       string        `yaml:"mode"`
		AutoEnroll resource.Bool `yaml:"auto_enroll"`
	} `yaml:"device_trust"`
	SignatureAlgorithmSuite string `yaml:"signature_algorithm_suite"`
}

type webAuthn struct {
	RPID                  string   `yaml:"rp_id"`
	AttestationAllowedCAs textList `yaml:"attestation_allowed_cas"`
	AttestationDeniedCAs  textList `yaml:"attestation_denied_cas"`
	Disabled              noEffect `yaml:"disabled"`
}

func (a *authSection) apply(p *problems, c *Config, env Env) {
	c.Auth.Enabled = a.Enabled.Enabled(true)
	c.Auth.ClusterName = a.ClusterName
	if a.ClusterName != "" && !resource.ValidClusterName(a.ClusterName) {
		p.add("auth_service.cluster_name", "%q must consist of lower-case letters, digits and hyphens between dots, as in teleport.example.com, and have at most 190 bytes", a.ClusterName)
	}
	if a.ListenAddr != "" {
		c.Auth.ListenAddr = p.address("auth_service.listen_addr", a.ListenAddr, defaultAuthPort, true)
	}
	for i, address := range a.PublicAddr {
		host := address
		if hasPort(address) {
			host, _, _ = net.SplitHostPort(address)
		}
		if !validHost(strings.Trim(host, "[]")) {
			p.add(a.PublicAddr.at(p, "auth_service.public_addr", i), "%q is not a host name or an IP address", host)
		}
	}
	for i, text := range a.Tokens {
		if token := staticToken(p, a.Tokens.at(p, "auth_service.tokens", i), text, env); token != nil {
			c.Auth.StaticTokens = append(c.Auth.StaticTokens, token)
		}
	}
	c.Auth.EC2IdentityCertificates = a.EC2IdentityCertificates
	if a.EC2IdentityCertificates != "" && !filepath.IsAbs(a.EC2IdentityCertificates) {
		p.add("auth_service.ec2_identity_certificates", "must be the absolute path of a directory")
	}
	p.warnNoEffect("auth_service.", "public_addr", "keep_alive_interval", "keep_alive_count_max", "session_control_timeout", "routing_strategy",
		"case_insensitive_routing", "ssh_dial_timeout", "web_idle_timeout", "proxy_checks_host_keys")
	p.warnNoEffect("auth_service.authentication.", "connector_name", "passwordless", "headless",
		"device_trust.auto_enroll", "signature_algorithm_suite")
	if a.ownListenerMode() {
		p.warnNoEffect("auth_service.", "proxy_listener_mode")
	}
	a.applyLogin(p, c)
	a.applyNetworking(p, c)
	a.applyRecording(p, c)
}

// staticToken reads "types:secret". Its messages do not repeat the text, which holds the secret.
func staticToken(p *problems, path, text string, env Env) *resource.Token {
	types, secret, ok := strings.Cut(text, ":")
	if !ok || secret == "" {
		p.add(path, `must be written as "types:secret", as in "db:<secret>"`)
		return nil
	}
	roles, err := resource.ParseSystemRoles(types)
	if err != nil {
		p.add(path, "the part before the colon must name types of services, as in db or db,node")
		return nil
	}
	if filepath.IsAbs(secret) {
		data, err := env.ReadFile(secret)
		if err != nil {
			p.add(path, "the file %s with the secret cannot be read: %s", secret, fault.Reason(err))
			return nil
		}
		secret = strings.TrimSpace(string(data))
	}
	token := &resource.Token{Spec: resource.TokenSpec{Roles: roles, JoinMethod: resource.JoinToken}}
	token.Metadata.Name = secret
	p.resource(token, resource.KindToken, func(string) string { return path })
	return token
}

func (a *authSection) applyLogin(p *problems, c *Config) {
	const at, in = "auth_service.", "auth_service.authentication"
	if !p.has(in, at+"disconnect_expired_cert", at+"message_of_the_day") {
		return
	}
	s := a.Authentication
	r := &resource.AuthPreference{Spec: resource.AuthPreferenceSpec{
		Type: s.Type, SecondFactor: s.SecondFactor, SecondFactors: resource.Strings(s.SecondFactors),
		ConnectorName: s.ConnectorName, AllowLocalAuth: s.LocalAuth, DisconnectExpiredCert: a.DisconnectExpiredCert,
		MessageOfTheDay: a.MessageOfTheDay, LockingMode: s.LockingMode, RequireSessionMFA: s.RequireSessionMFA,
		DefaultSessionTTL: resource.Duration(s.DefaultSessionTTL), AllowPasswordless: s.Passwordless, AllowHeadless: s.Headless,
		SignatureAlgorithmSuite: s.SignatureAlgorithmSuite,
	}}
	if w := s.WebAuthn; w != nil {
		r.Spec.WebAuthn = &resource.WebAuthn{RPID: w.RPID,
			AttestationAllowedCAs: resource.Strings(w.AttestationAllowedCAs), AttestationDeniedCAs: resource.Strings(w.AttestationDeniedCAs)}
	}
	if s.U2F != nil {
		r.Spec.U2F = &resource.U2F{AppID: s.U2F.AppID, Facets: resource.Strings(s.U2F.Facets)}
	}
	if s.DeviceTrust != nil {
		r.Spec.DeviceTrust = &resource.DeviceTrust{Mode: s.DeviceTrust.Mode, AutoEnroll: s.DeviceTrust.AutoEnroll}
	}
	if s.Type != "" && s.Type != "local" {
		p.add(in+".type", "%q is not available here; use local", s.Type)
		r.Spec.Type = "local"
	}
	c.addSetting(p, r, resource.KindAuthPreference, resource.NameAuthPreference, func(key string) string {
		switch key {
		case "message_of_the_day", "disconnect_expired_cert":
			return at + key
		default:
			return in + "." + key
		}
	})
}

// ownListenerMode reports whether the file asks for another way to listen than the one there is. One port for
// everything is what new files ask for: that makes no setting, which could not be changed with tctl then.
func (a *authSection) ownListenerMode() bool {
	return a.ProxyListenerMode != "" && a.ProxyListenerMode != "multiplex"
}

func (a *authSection) applyNetworking(p *problems, c *Config) {
	const at = "auth_service."
	if !a.ownListenerMode() && !p.has(at+"client_idle_timeout", at+"client_idle_timeout_message", at+"web_idle_timeout",
		at+"keep_alive_interval", at+"keep_alive_count_max", at+"session_control_timeout", at+"routing_strategy",
		at+"case_insensitive_routing", at+"ssh_dial_timeout") {
		return
	}
	r := &resource.NetworkingConfig{Spec: resource.NetworkingConfigSpec{
		ClientIdleTimeout: resource.Duration(a.ClientIdleTimeout), IdleTimeoutMessage: a.ClientIdleTimeoutMessage,
		WebIdleTimeout: resource.Duration(a.WebIdleTimeout), KeepAliveInterval: resource.Duration(a.KeepAliveInterval),
		KeepAliveCountMax: a.KeepAliveCountMax, SessionControlTimeout: resource.Duration(a.SessionControlTimeout),
		ProxyListenerMode: a.ProxyListenerMode, RoutingStrategy: a.RoutingStrategy,
		CaseInsensitiveRouting: a.CaseInsensitiveRouting, SSHDialTimeout: resource.Duration(a.SSHDialTimeout),
	}}
	c.addSetting(p, r, resource.KindNetworkingConfig, resource.NameNetworkingConfig, func(key string) string {
		if key == "idle_timeout_message" {
			key = "client_idle_timeout_message"
		}
		return at + key
	})
}

func (a *authSection) applyRecording(p *problems, c *Config) {
	const at = "auth_service.session_recording"
	if !p.has(at, at+"_start_gate", at+"_outage_budget", "auth_service.proxy_checks_host_keys") {
		return
	}
	r := &resource.RecordingConfig{Spec: resource.RecordingConfigSpec{Mode: a.SessionRecording, ProxyChecksHostKeys: a.ProxyChecksHostKeys,
		StartGate: a.SessionRecordingStartGate}}
	if budget := a.SessionRecordingOutageBudget; budget != nil {
		r.Spec.OutageBudget = resource.Duration(*budget)
		if *budget == 0 {
			r.Spec.OutageBudget = -1 // never
		}
	}
	c.addSetting(p, r, resource.KindRecordingConfig, resource.NameRecordingConfig, func(key string) string {
		switch key {
		case "mode":
			return at
		case "start_gate", "outage_budget":
			return at + "_" + key
		}
		return "auth_service." + key
	})
}

// addSetting keeps a setting of the cluster that the file makes. place maps keys of the resource's spec
// to paths of the file.
func (c *Config) addSetting(p *problems, r resource.Resource, kind, name string, place func(specKey string) string) {
	meta := r.Meta()
	meta.Name = name
	meta.Labels = map[string]string{resource.LabelOrigin: resource.OriginConfigFile}
	p.resource(r, kind, func(path string) string { return place(strings.TrimPrefix(path, "spec.")) })
	c.Auth.Settings = append(c.Auth.Settings, r)
}

// has reports whether the file has one of the keys.
func (p *problems) has(paths ...string) bool {
	for _, path := range paths {
		if _, ok := p.lines[path]; ok {
			return true
		}
	}
	return false
}

// resource fills in the resource's defaults and notes what is wrong with it. place maps the resource's
// paths, such as spec.uri, to paths of the file.
func (p *problems) resource(r resource.Resource, kind string, place func(path string) string) {
	r.SetKind(kind)
	for _, one := range resource.Inspect(r) {
		p.add(place(one.Path), "%s", one.Message)
	}
	for _, one := range resource.Warnings(r) {
		p.warn(place(one.Path), "%s", one.Message)
	}
}

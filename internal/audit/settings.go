package audit

// Settings names one of the resources that hold settings of the whole cluster.
type Settings int

// The settings whose changes are recorded.
const (
	AuthPreference Settings = iota
	ClusterNetworking
	SessionRecording
)

// SettingsUpdate is a change of cluster-wide settings.
type SettingsUpdate struct {
	UserMeta
	ConnectionMeta
	Status
	Settings Settings
}

// Type implements Event.
func (v *SettingsUpdate) Type() string {
	return [...]string{
		AuthPreference:    "auth_preference.update",
		ClusterNetworking: "cluster_networking_config.update",
		SessionRecording:  "session_recording_config.update",
	}[v.Settings]
}

// Code implements Event.
func (v *SettingsUpdate) Code() string {
	return [...]string{AuthPreference: "TCAUTH001I", ClusterNetworking: "TCNET002I", SessionRecording: "TCREC003I"}[v.Settings]
}

func (v *SettingsUpdate) appendFields(e *encoder) {
	v.UserMeta.appendTo(e)
	v.ConnectionMeta.appendTo(e)
	v.Status.appendTo(e)
}

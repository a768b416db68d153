package audit

import (
	"encoding/json"
	"fmt"
	"time"
)

// ResumeConfig returns how to continue the chain of a session that began with the event in start, and when
// that was. The caller sets UIDs, Next and Prev.
func ResumeConfig(start []byte) (config ChainConfig, began time.Time, err error) {
	f, err := Parse(start)
	if err != nil {
		return config, began, err
	}
	var groups struct {
		Impersonator   string   `json:"impersonator"`
		Kind           UserKind `json:"user_kind"`
		Roles          []string `json:"user_roles"`
		AccessRequests []string `json:"access_requests"`
		WithMFA        string   `json:"with_mfa"`
		Service        string   `json:"db_service"`
		Protocol       string   `json:"db_protocol"`
		URI            string   `json:"db_uri"`
		Name           string   `json:"db_name"`
		NameExact      []byte   `json:"db_name_base64"`
		Account        string   `json:"db_user"`
		AccountExact   []byte   `json:"db_user_base64"`
		Type           string   `json:"db_type"`
		Origin         string   `json:"db_origin"`
		DatabaseRoles  []string `json:"db_roles"`
	}
	if err := json.Unmarshal(start, &groups); err != nil {
		return config, began, fmt.Errorf("reading the start of a session: %w", err)
	}
	if groups.NameExact != nil {
		groups.Name = string(groups.NameExact)
	}
	if groups.AccountExact != nil {
		groups.Account = string(groups.AccountExact)
	}
	return ChainConfig{
		ClusterName: f.Cluster,
		User: UserMeta{User: f.User, Impersonator: groups.Impersonator, Kind: groups.Kind, Roles: groups.Roles,
			AccessRequests: groups.AccessRequests},
		Session: SessionMeta{SID: f.SID.String(), WithMFA: groups.WithMFA},
		Database: DatabaseMeta{Service: groups.Service, Protocol: groups.Protocol, URI: groups.URI, Name: groups.Name,
			User: groups.Account, Type: groups.Type, Origin: groups.Origin, Roles: groups.DatabaseRoles},
	}, f.Time, nil
}

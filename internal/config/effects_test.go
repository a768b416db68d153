package config_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/config"
)

// around is what stands beside a key, by the path of the map that holds it: what it needs, and what makes the
// setting of the cluster that it belongs to.
var around = map[string]string{
	"auth_service":                            "client_idle_timeout: 1m, session_recording: node, disconnect_expired_cert: no, authentication: {type: local}",
	"auth_service.authentication":             "type: local",
	"teleport.join_params":                    "token_name: aws",
	"db_service":                              "enabled: yes",
	"db_service.databases[]":                  "name: a, protocol: postgres, uri: 'h:1'",
	"db_service.databases[].dynamic_labels[]": "name: l, command: [c], period: 1m",
	"db_service.databases[].aws":              "assume_role_arn: 'arn:aws:iam::123456789012:role/r'",
	"db_service.resources[]":                  "labels: {a: b}",
	"db_service.resources[].aws":              "assume_role_arn: 'arn:aws:iam::123456789012:role/r'",
	"db_service.aws[]":                        "types: rds, regions: us-west-1, assume_role_arn: 'arn:aws:iam::123456789012:role/r'",
	"db_service.azure[]":                      "types: mysql",
	"discovery_service":                       "enabled: yes",
	"discovery_service.aws[]":                 "types: rds, regions: us-west-1, assume_role_arn: 'arn:aws:iam::123456789012:role/r'",
	"discovery_service.azure[]":               "types: mysql",
	"proxy_service.https_keypairs[]":          "key_file: /k, cert_file: /c",
	"proxy_service":                           "https_key_file: /k, https_cert_file: /c, proxy_protocol: on, trust_proxy_protocol: 192.0.2.1, mysql_listen_addr: \"0.0.0.0:3036\"",
}

// values are those of keys that do not take just anything of their type.
var values = map[string]string{
	"teleport.join_params.method": "iam", "teleport.join_params.join_method": "ec2", "auth_service.ec2_identity_certificates": "/certs",
	"proxy_service.trust_x_forwarded_for": "192.0.2.7", "proxy_service.trust_proxy_protocol": "192.0.2.7",
	"proxy_service.proxy_protocol": "off", "proxy_service.mysql_server_version": "8.0.36",
	"version": "v3", "teleport.ca_pin": "/pins", "teleport.diag_addr": "'127.0.0.1:1'", "teleport.proxy_server": "'h:1'",
	"teleport.auth_server": "'h:1'", "teleport.auth_servers": "['h:1', 'h:2']", "teleport.log.output": "stdout",
	"teleport.log.severity": "DEBUG", "teleport.log.format.output": "json", "teleport.storage.sync": "OFF",
	"auth_service.enabled": "no", "auth_service.tokens": "['db:0123456789abcdef']", "auth_service.authentication.second_factor": "on",
	"auth_service.authentication.second_factors": "[otp]", "auth_service.authentication.locking_mode": "strict",
	"auth_service.authentication.require_session_mfa": "yes", "auth_service.authentication.device_trust.mode": "optional",
	"auth_service.authentication.local_auth": "no", "auth_service.keep_alive_count_max": "5", "auth_service.proxy_checks_host_keys": "no",
	"db_service.databases[].aws.region": "us-west-1", "db_service.databases[].uri": "'other:1'", "db_service.databases[].aws.account_id": "'210987654321'", "auth_service.authentication.signature_algorithm_suite": "legacy",
	"auth_service.session_recording": "off", "auth_service.session_recording_start_gate": "auth",
	"auth_service.routing_strategy": "most_recent", "auth_service.proxy_listener_mode": "separate",
	"proxy_service.enabled": "no", "db_service.enabled": "no", "discovery_service.poll_interval": "7m",
	"db_service.databases[].tls.mode": "insecure", "db_service.databases[].protocol": "mysql",
	"db_service.databases[].aws.assume_role_arn": "'arn:aws:iam::123456789012:role/other'", "db_service.resources[].labels": "{a: c}",
	"db_service.resources[].aws.assume_role_arn": "'arn:aws:iam::123456789012:role/other'",
}

// exempt are keys that cannot be told apart by this test, and why.
var exempt = map[string]string{
	"teleport.log.severity":                 "is read by Log.Level",
	"auth_service.authentication.webauthn.": "refused: security keys cannot be asked for",
	"auth_service.authentication.u2f.":      "refused: security keys cannot be asked for",

	"auth_service.authentication.require_session_mfa": "refused but for its default",
	"auth_service.authentication.device_trust.":       "refused but for its default",
	"auth_service.authentication.second_factors":      "has one value",
	"db_service.aws[]": "warned of as a whole", "db_service.azure[]": "warned of as a whole",
	"discovery_service.":                                   "warned of as a whole",
	"version":                                              "says how the rest is read",
	"teleport.storage.type":                                "has one value",
	"auth_service.authentication.type":                     "has one value",
	"proxy_service.acme.email":                             "means something with acme.enabled only, which warns",
	"proxy_service.acme.uri":                               "means something with acme.enabled only, which warns",
	"db_service.databases[].tls.ca_cert_file":              "needs a file",
	"db_service.databases[].ca_cert_file":                  "needs a file",
	"db_service.databases[].azure.redis.clustering_policy": "needs a database of its kind",
}

type key struct {
	path string
	typ  reflect.Type
}

// keysOf returns all keys of the file that hold a value.
func keysOf(t reflect.Type, path string) []key {
	if config.Silent(t) {
		return nil
	}
	own := reflect.PointerTo(t).NumMethod() > 0
	switch {
	case t.Kind() == reflect.Pointer:
		return keysOf(t.Elem(), path)
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		return keysOf(t.Elem(), path+"[]")
	case t.Kind() != reflect.Struct || own:
		return []key{{path, t}}
	}
	var keys []key
	for i := range t.NumField() {
		name := t.Field(i).Tag.Get("yaml")
		if name == "" {
			name, _, _ = strings.Cut(t.Field(i).Tag.Get("json"), ",")
		}
		keys = append(keys, keysOf(t.Field(i).Type, strings.TrimPrefix(path+"."+name, "."))...)
	}
	return keys
}

func (k key) value() string {
	if value, ok := values[k.path]; ok {
		return value
	}
	switch {
	case strings.HasSuffix(k.typ.String(), "duration"):
		return "7s"
	case k.typ.Kind() == reflect.Bool:
		return "yes"
	case k.typ.Kind() == reflect.Int:
		return "3"
	case k.typ.Kind() == reflect.Map:
		return "{a: b}"
	case k.typ.Kind() == reflect.Slice:
		return "[x]"
	default:
		return "xyz"
	}
}

// file returns a file in which the path has the value, or lacks it when the value is empty.
func file(path, value string) string {
	segments := strings.Split(path, ".")
	text := ""
	for i, segment := range slices.Backward(segments) {
		name, list := strings.CutSuffix(segment, "[]")
		at := strings.Join(segments[:i], ".")
		entry := name + ": " + value
		if i < len(segments)-1 {
			if entry = name + ": {" + text + "}"; list {
				entry = name + ": [{" + text + "}]"
			}
		} else if value == "" {
			entry = "" // what stands around it may still hold it, with another value
		}
		text = entry
		for _, sibling := range splitFlow(around[at]) {
			if entry == "" || !strings.HasPrefix(sibling, name+":") {
				text = strings.TrimPrefix(text+", "+sibling, ", ")
			}
		}
	}
	if !strings.HasPrefix(path, "teleport.auth_servers") && path != "version" {
		text = "version: v3, " + text
	}
	return "{" + text + "}"
}

// splitFlow splits the entries of a flow map at commas outside of brackets.
func splitFlow(text string) (entries []string) {
	depth, start := 0, 0
	for i, c := range text {
		switch {
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		case c == ',' && depth == 0:
			entries = append(entries, strings.TrimSpace(text[start:i]))
			start = i + 1
		}
	}
	if rest := strings.TrimSpace(text[start:]); rest != "" {
		entries = append(entries, rest)
	}
	return entries
}

// differences returns the fields in which two values differ, each by its type's own name, as in "config.Auth.ListenAddr"; of a
// field that holds others, those. Prefix is the name of a's type.
func differences(a, b reflect.Value, prefix string) (fields []string) {
	if name := a.Type().Name(); name != "" {
		prefix = a.Type().String()
	}
	switch a.Kind() {
	case reflect.Interface, reflect.Pointer:
		if !a.IsNil() && !b.IsNil() && a.Elem().Type() == b.Elem().Type() {
			return differences(a.Elem(), b.Elem(), prefix)
		}
	case reflect.Struct:
		for i := range a.NumField() {
			field := a.Type().Field(i)
			if !field.IsExported() || reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
				continue
			}
			name := prefix + "." + field.Name
			inner := differences(a.Field(i), b.Field(i), name)
			if len(inner) == 0 {
				inner = []string{name}
			}
			fields = append(fields, inner...)
		}
	case reflect.Slice:
		for i := range min(a.Len(), b.Len()) {
			fields = append(fields, differences(a.Index(i), b.Index(i), prefix)...)
		}
	case reflect.Map:
		for _, key := range a.MapKeys() {
			if other := b.MapIndex(key); other.IsValid() {
				fields = append(fields, differences(a.MapIndex(key), other, prefix)...)
			}
		}
	}
	return fields
}

func isExempt(path string) bool {
	for prefix := range exempt {
		if strings.HasPrefix(path, prefix) && (path == prefix || strings.HasSuffix(prefix, "[]") || strings.HasSuffix(prefix, ".")) {
			return true
		}
	}
	return false
}

// warned reports whether a warning is about the key or what holds it.
func warned(warnings []string, path string) bool {
	return slices.ContainsFunc(warnings, func(warning string) bool {
		for at := strings.ReplaceAll(path, "[]", "[0]"); strings.Contains(at, "."); at = at[:strings.LastIndex(at, ".")] {
			if strings.Contains(warning, " "+at+":") {
				return true
			}
		}
		return false
	})
}

// TestEveryKeyHasAnEffectOrAWarning writes each key into a file: either the configuration changes in a field
// that the running program reads, or a warning says that the key does nothing.
func TestEveryKeyHasAnEffectOrAWarning(t *testing.T) {
	read := fieldsRead(t)
	delete(read, "config.Config.Warnings") // which must be about the key
	for _, k := range keysOf(config.FileType, "") {
		if isExempt(k.path) {
			continue
		}
		with, err := config.Parse([]byte(file(k.path, k.value())), "t", config.SystemEnv())
		if err != nil && strings.Contains(err.Error(), "this program cannot") {
			continue // told even more plainly
		}
		if err != nil {
			t.Errorf("%s: this test needs a good value for it: %v\n%s", k.path, err, file(k.path, k.value()))
			continue
		}
		if warned(with.Warnings, k.path) {
			continue
		}
		without, err := config.Parse([]byte(file(k.path, "")), "t", config.SystemEnv())
		if err != nil && around[k.path[:max(0, strings.LastIndex(k.path, "."))]] == "" {
			t.Errorf("%s: without it: %v\n%s", k.path, err, file(k.path, ""))
			continue
		}
		if err != nil {
			without = config.Default() // a key that must be there
		}
		fields := differences(reflect.ValueOf(with), reflect.ValueOf(without), "")
		if !slices.ContainsFunc(fields, func(field string) bool { return read[field] }) {
			t.Errorf("%s: nothing reads it and nobody is told (it changes %v)", k.path, fields)
		}
	}
}

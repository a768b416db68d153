package postgres

import (
	"strings"

	"sallyport/internal/fault"
)

const (
	keyUser            = "user"
	keyDatabase        = "database"
	keyReplication     = "replication"
	keyOptions         = "options"
	keyApplicationName = "application_name"
	protocolOption     = "_pq_."
)

// allowedSettings are the run-time parameters that a client may set while it logs in. They change formats,
// limits and plans. Everything else, above all what changes identity, rights, the meaning of names or what is
// logged, has to be set by a statement, which is recorded.
var allowedSettings = map[string]bool{
	"application_name": true, "client_encoding": true, "client_min_messages": true,
	"datestyle": true, "intervalstyle": true, "timezone": true, "extra_float_digits": true, "bytea_output": true, "xmloption": true, "xmlbinary": true,
	"lc_messages": true, "lc_monetary": true, "lc_numeric": true, "lc_time": true,
	"statement_timeout": true, "lock_timeout": true, "transaction_timeout": true, "deadlock_timeout": true,
	"idle_in_transaction_session_timeout": true, "idle_session_timeout": true, "client_connection_check_interval": true,
	"tcp_keepalives_idle": true, "tcp_keepalives_interval": true, "tcp_keepalives_count": true, "tcp_user_timeout": true,
	"default_transaction_isolation": true, "default_transaction_read_only": true, "default_transaction_deferrable": true,
	"synchronous_commit": true,
	"work_mem":           true, "hash_mem_multiplier": true, "maintenance_work_mem": true, "temp_buffers": true, "effective_cache_size": true, "effective_io_concurrency": true,
	"cpu_tuple_cost": true, "cpu_index_tuple_cost": true, "cpu_operator_cost": true, "seq_page_cost": true, "random_page_cost": true,
	"parallel_setup_cost": true, "parallel_tuple_cost": true, "max_parallel_workers": true, "max_parallel_workers_per_gather": true, "max_parallel_maintenance_workers": true,
	"geqo": true, "geqo_threshold": true, "jit": true, "jit_above_cost": true, "plan_cache_mode": true, "cursor_tuple_fraction": true,
	"constraint_exclusion": true, "default_statistics_target": true, "from_collapse_limit": true, "join_collapse_limit": true,
	"enable_async_append": true, "enable_bitmapscan": true, "enable_gathermerge": true, "enable_hashagg": true, "enable_hashjoin": true,
	"enable_incremental_sort": true, "enable_indexonlyscan": true, "enable_indexscan": true, "enable_material": true, "enable_memoize": true,
	"enable_mergejoin": true, "enable_nestloop": true, "enable_parallel_append": true, "enable_parallel_hash": true, "enable_partition_pruning": true,
	"enable_partitionwise_aggregate": true, "enable_partitionwise_join": true, "enable_seqscan": true, "enable_sort": true, "enable_tidscan": true,
}

// apply sorts the pairs of a startup message into identity, settings to pass on and protocol options. As
// in the server, the last one of several with the same name counts, and a setting of its own counts more than
// one among the options. It goes on after a refusal, so that the refusal can be recorded with its account.
func (s *startup) apply(pairs []setting) error {
	var options string
	for _, pair := range pairs {
		if pair.name == keyOptions {
			options = pair.value
		}
	}
	refused := s.applyOptions(options)
	for _, pair := range pairs {
		if err := s.applyPair(pair.name, pair.value); refused == nil {
			refused = err
		}
	}
	return refused
}

func (s *startup) applyPair(name, value string) error {
	switch {
	case name == keyOptions:
	case name == keyUser:
		s.want.User = value
	case name == keyDatabase:
		s.want.Name = value
	case name == keyReplication:
		return checkReplication(value)
	case strings.HasPrefix(name, protocolOption):
		s.unknown = append(s.unknown, name)
	default:
		return s.allow(name, value)
	}
	return nil
}

// allow takes a setting that is on the list.
func (s *startup) allow(name, value string) error {
	folded := strings.ToLower(name)
	if !allowedSettings[folded] {
		return endWith(stateInvalidParameter, fault.BadParameter, "the setting %q cannot be given while logging in through this system; set it with a SET statement afterwards, which is recorded", cutOff(name))
	}
	if folded == keyApplicationName {
		s.want.UserAgent = value
	}
	s.settings = append(s.settings, setting{folded, value})
	return nil
}

func cutOff(text string) string { return text[:min(len(text), nameLimit)] }

// checkReplication lets only those values through that mean an ordinary connection (as the server reads
// booleans).
func checkReplication(value string) error {
	switch strings.ToLower(value) {
	case "false", "fals", "fal", "fa", "f", "no", "n", "off", "of", "0":
		return nil
	default:
		return endWith(stateFeatureNotSupported, fault.AccessDenied, "replication connections are not supported through this system, because what they carry cannot be recorded; connect to the database itself for backups and replicas")
	}
}

// applyOptions reads command-line options as the server does: words apart by white space, a backslash
// takes the next character as it is. Only settings are taken.
func (s *startup) applyOptions(options string) error {
	words := splitOptions(options)
	for i := 0; i < len(words); i++ {
		var assignment string
		switch word := words[i]; {
		case word == "-c" && i+1 < len(words):
			i++
			assignment = words[i]
		case strings.HasPrefix(word, "-c") && len(word) > 2:
			assignment = word[2:]
		case strings.HasPrefix(word, "--") && len(word) > 2:
			assignment = word[2:]
		default:
			return endWith(stateInvalidParameter, fault.BadParameter, "the option %q cannot be given while logging in through this system; only -c name=value is", cutOff(word))
		}
		name, value, ok := strings.Cut(assignment, "=")
		if !ok || name == "" {
			return endWith(stateInvalidParameter, fault.BadParameter, "the option %q is not of the form -c name=value", cutOff(assignment))
		}
		if err := s.allow(strings.ReplaceAll(name, "-", "_"), value); err != nil {
			return err
		}
	}
	return nil
}

func splitOptions(options string) []string {
	var words []string
	var word []byte
	inside := false
	for i := 0; i < len(options); i++ {
		c := options[i]
		switch {
		case isSpace(c):
			if inside {
				words, word, inside = append(words, string(word)), word[:0], false
			}
			continue
		case c == '\\' && i+1 < len(options):
			i++
			c = options[i]
		case c == '\\':
			continue
		}
		word, inside = append(word, c), true
	}
	if inside {
		words = append(words, string(word))
	}
	return words
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

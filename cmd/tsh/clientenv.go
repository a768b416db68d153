package main

import (
	"slices"
	"strings"
)

// withheld are the variables of the environment that a client is not given when tsh runs it: by them it would go to another
// server than the local proxy, or come as somebody else. They are named by how they begin, so that those of later versions of
// a client are withheld too.
type withheld struct {
	beginnings []string // in either case
	except     []string // full names of what is handed on nevertheless
}

// postgresWithheld leaves what a session is like. Servers, accounts and TLS are in the URL.
var postgresWithheld = withheld{[]string{"PG"}, []string{
	"PGAPPNAME", "PGCLIENTENCODING", "PGCONNECT_TIMEOUT", "PGDATESTYLE", "PGGEQO", "PGLOCALEDIR", "PGOPTIONS", "PGSYSCONFDIR", "PGTZ",
	"PG_COLOR", "PG_COLORS",
}}

// mysqlWithheld leaves the folders of option files, which count less than the command line as ~/.my.cnf does.
var mysqlWithheld = withheld{[]string{"MYSQL_", "MARIADB_", "LIBMYSQL_"}, []string{
	"MARIADB_HISTFILE", "MARIADB_HOME", "MARIADB_PLUGIN_DIR", "MYSQL_HISTFILE", "MYSQL_HISTIGNORE", "MYSQL_HOME", "MYSQL_PS1",
}}

var redisWithheld = withheld{[]string{"REDISCLI_", "VALKEYCLI_"}, []string{
	"REDISCLI_CLUSTER_YES", "REDISCLI_HISTFILE", "REDISCLI_RCFILE", "VALKEYCLI_CLUSTER_YES", "VALKEYCLI_HISTFILE", "VALKEYCLI_RCFILE",
}}

// mongoWithheld has mongosh go to loopback without a proxy of SOCKS or HTTP, which could read everything.
var mongoWithheld = withheld{beginnings: []string{"ALL_PROXY", "MONGODB_PROXY"}}

// from returns an environment without them.
func (w withheld) from(environment []string) []string {
	return slices.DeleteFunc(slices.Clone(environment), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return !slices.Contains(w.except, name) && slices.ContainsFunc(w.beginnings, func(beginning string) bool {
			return len(name) >= len(beginning) && strings.EqualFold(name[:len(beginning)], beginning)
		})
	})
}

package main

import (
	"fmt"
	"path/filepath"
	"strings"
)

// What servers are told of their files, with PATH for where these are, without the ending.
const (
	postgresHint = `
PostgreSQL, in postgresql.conf:

ssl = on
ssl_cert_file = 'PATH.crt'
ssl_key_file = 'PATH.key'
ssl_ca_file = 'PATH.cas'

and in pg_hba.conf, so that the certificate decides who comes in:

hostssl all all ::/0 cert
hostssl all all 0.0.0.0/0 cert
`
	mysqlHint = `
MySQL or MariaDB, in its configuration:

[mysqld]
require_secure_transport=ON
ssl-cert=PATH.crt
ssl-key=PATH.key
ssl-ca=PATH.cas
`
	mongoHint = `
MongoDB, in mongod.conf:

net:
  tls:
    mode: requireTLS
    certificateKeyFile: PATH.crt
    CAFile: PATH.cas
security:
  authorization: enabled
setParameter:
  authenticationMechanisms: SCRAM-SHA-256,MONGODB-X509
`
	mongoElsewhereHint = `
MongoDB wants certificate and key in one file: sign with --format=mongodb instead.
`
	redisHint = `
Redis or Valkey, in redis.conf, with port 0 so that there is no way without TLS:

port 0
tls-port 6379
tls-cert-file PATH.crt
tls-key-file PATH.key
tls-ca-cert-file PATH.cas
tls-auth-clients yes
`
)

// serverFormat is a format for what a database presents.
type serverFormat struct {
	accounts string // that such servers mostly run as, for a sentence
	account  string // one of them
	together bool   // the key stands in the file of the certificate
	hints    []string
}

// serverFormats are the formats for databases, by name.
var serverFormats = map[string]serverFormat{
	"db":      {accounts: "postgres, mysql or redis", account: "mysql", hints: []string{postgresHint, mysqlHint, redisHint, mongoElsewhereHint}},
	"mongodb": {accounts: "mongodb or mongod", account: "mongodb", together: true, hints: []string{mongoHint}},
	"redis":   {accounts: "redis or valkey", account: "redis", hints: []string{redisHint}},
}

// advice says what to do with the files of a database: they are the reader's own, and servers mostly run as somebody else.
func (f *signFlags) advice() string {
	format := serverFormats[f.format]
	var paths []string
	for _, path := range f.files() {
		paths = append(paths, placed(path))
	}
	var text strings.Builder
	fmt.Fprintf(&text, `
Only you can read these files. Give them to the account that the server runs as, mostly %s; it cannot
start with them before:

chown %s: %s
`, format.accounts, format.account, strings.Join(paths, " "))
	for _, hint := range format.hints {
		text.WriteString(strings.ReplaceAll(hint, "PATH", placed(f.out)))
	}
	return text.String()
}

// placed is a path as the database's host may have it.
func placed(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return "/path/to/" + path
}

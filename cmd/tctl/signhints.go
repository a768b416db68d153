package main

import (
	"path/filepath"
	"strings"
)

// What servers are told of their files, with FILES for these and PATH for where they are, without the ending.
const (
	postgresHint = `
PostgreSQL, which mostly runs as postgres:

chown postgres: FILES

in postgresql.conf:

ssl = on
ssl_cert_file = 'PATH.crt'
ssl_key_file = 'PATH.key'
ssl_ca_file = 'PATH.cas'

and in pg_hba.conf, before all other lines, as the first that matches decides; where others come in by passwords, with
the addresses of the Database Service instead of all:

hostssl all all ::/0 cert
hostssl all all 0.0.0.0/0 cert
`
	mysqlHint = `
MySQL or MariaDB, which mostly runs as mysql:

chown mysql: FILES

in its configuration:

[mysqld]
require_secure_transport=ON
ssl-cert=PATH.crt
ssl-key=PATH.key
ssl-ca=PATH.cas
`
	mongoHint = `
MongoDB, which mostly runs as mongodb or mongod:

chown mongodb: FILES

in mongod.conf:

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
Redis or Valkey, which mostly runs as redis or valkey:

chown redis: FILES

in redis.conf, with port 0 so that there is no way without TLS:

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
	together bool // the key stands in the file of the certificate
	hints    []string
}

// serverFormats are the formats for databases, by name.
var serverFormats = map[string]serverFormat{
	"db":      {hints: []string{postgresHint, mysqlHint, redisHint, mongoElsewhereHint}},
	"mongodb": {together: true, hints: []string{mongoHint}},
	"redis":   {hints: []string{redisHint}},
}

// advice says what to do with the files of a database: they are the reader's own, and servers mostly run as somebody else.
func (f *signFlags) advice() string {
	var paths []string
	for _, path := range f.files() {
		paths = append(paths, placed(path))
	}
	places := strings.NewReplacer("FILES", strings.Join(paths, " "), "PATH", placed(f.out))
	var text strings.Builder
	text.WriteString(`
Only you can read these files. Give them to the account that the server runs as; it cannot start with them before.
`)
	for _, hint := range serverFormats[f.format].hints {
		text.WriteString(places.Replace(hint))
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

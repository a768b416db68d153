package resource

import "slices"

// Protocol is what others than its engine know of a protocol. Nothing is assumed of what is left out: where a protocol has to
// be known, one without an answer is refused.
type Protocol struct {
	// Name is what spec.protocol says.
	Name string
	// Served says that this version has an engine for it; databases of others are listed only. What follows is complete for
	// these.
	Served bool
	// OwnNames says that servers hold databases by name, to which roles' db_names apply.
	OwnNames bool
	// TLS is how it begins with clients.
	TLS Opening
	// Asker is who asks for a cancel over a connection of its own.
	Asker Asker
	// Schemes are those a URI may begin with. One without a scheme is host:port for every protocol.
	Schemes []string
	// UsualPort is that of servers, for those who are told how to write an address.
	UsualPort string
	// NoUsualPort says that a URI with a scheme has to name the port too.
	NoUsualPort bool
	// KeyBesideCertificate says that clients read both from one file.
	KeyBesideCertificate bool
	// AccountInLogin says that clients with a certificate name no account, so that the login has to.
	AccountInLogin bool
	// UsualAccount is that of clients that name none; empty if there is no such account.
	UsualAccount string
}

// Opening is how TLS begins on a connection.
type Opening int

// The ways in which TLS begins.
const (
	UnknownOpening   Opening = iota
	TLSFirst                 // with the first byte
	TLSByRequest             // after an SSLRequest of PostgreSQL, or with the first byte
	TLSAfterGreeting         // after the server has greeted, in clear
)

// Asker is by what those are told apart who ask for a cancel, so that guesses of one are not held against another.
type Asker int

// The askers.
const (
	UnknownAsker   Asker = iota
	NobodyAsks           // cancels travel on the session's own connections, if at all
	AskerByAddress       // a stranger, of whom the address is known
	AskerByOwner         // a user at a database, which the secret of the key says
)

// protocols has them in the order in which they are shown.
var protocols = []Protocol{
	{Name: ProtocolPostgres, Served: true, OwnNames: true, TLS: TLSByRequest, Asker: AskerByAddress,
		Schemes: []string{"postgres", "postgresql"}, UsualPort: "5432", NoUsualPort: true},
	{Name: ProtocolMySQL, Served: true, TLS: TLSAfterGreeting, Asker: AskerByOwner, UsualPort: "3306"},
	{Name: ProtocolMongoDB, Served: true, OwnNames: true, TLS: TLSFirst, Asker: NobodyAsks,
		Schemes: []string{"mongodb", "mongodb+srv"}, UsualPort: "27017", KeyBesideCertificate: true, AccountInLogin: true},
	{Name: ProtocolOracle},
	{Name: ProtocolCockroachDB},
	{Name: ProtocolRedis, Served: true, TLS: TLSFirst, Asker: NobodyAsks,
		Schemes: []string{"redis", "rediss"}, UsualPort: redisPort, UsualAccount: "default"},
	{Name: ProtocolSnowflake, Schemes: []string{"https"}},
	{Name: ProtocolSQLServer},
	{Name: ProtocolCassandra},
	{Name: ProtocolElasticsearch, Schemes: []string{"https"}},
	{Name: ProtocolOpenSearch, Schemes: []string{"https"}},
	{Name: ProtocolDynamoDB, Schemes: []string{"https", "aws"}},
	{Name: ProtocolClickHouse, Schemes: []string{"clickhouse"}, NoUsualPort: true},
	{Name: ProtocolClickHouseHTTP, Schemes: []string{"https"}},
	{Name: ProtocolSpanner, OwnNames: true},
}

// The protocols.
const (
	ProtocolPostgres       = "postgres"
	ProtocolMySQL          = "mysql"
	ProtocolMongoDB        = "mongodb"
	ProtocolOracle         = "oracle"
	ProtocolCockroachDB    = "cockroachdb"
	ProtocolRedis          = "redis"
	ProtocolSnowflake      = "snowflake"
	ProtocolSQLServer      = "sqlserver"
	ProtocolCassandra      = "cassandra"
	ProtocolElasticsearch  = "elasticsearch"
	ProtocolOpenSearch     = "opensearch"
	ProtocolDynamoDB       = "dynamodb"
	ProtocolClickHouse     = "clickhouse"
	ProtocolClickHouseHTTP = "clickhouse-http"
	ProtocolSpanner        = "spanner"
)

// Protocols returns the protocols a database can have, as written in spec.protocol.
func Protocols() []string {
	names := make([]string, len(protocols))
	for i, p := range protocols {
		names[i] = p.Name
	}
	return names
}

// ServedProtocols returns those that this version has an engine for.
func ServedProtocols() []string {
	return slices.DeleteFunc(Protocols(), func(name string) bool { return !Served(name) })
}

// ProtocolNamed returns what is known of a protocol: nothing but the name of one that is none. The caller does not change its
// lists.
func ProtocolNamed(name string) Protocol {
	if i := slices.IndexFunc(protocols, func(p Protocol) bool { return p.Name == name }); i >= 0 {
		return protocols[i]
	}
	return Protocol{Name: name}
}

// EnforcesNames reports whether roles' db_names apply to databases of the protocol.
func EnforcesNames(protocol string) bool { return ProtocolNamed(protocol).OwnNames }

// Served reports whether this version has an engine for the protocol; databases of others are listed only.
func Served(protocol string) bool { return ProtocolNamed(protocol).Served }

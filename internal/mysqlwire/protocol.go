// Package mysqlwire reads and writes the protocol of MySQL and MariaDB: packets, the handshake, commands and what
// begins and ends their answers (MySQL source code documentation, "Client/Server Protocol"; MariaDB Knowledge Base,
// "Clients & Utilities: Protocol"). It does no more input and output than reading one packet.
package mysqlwire

// Sizes in bytes.
const (
	HeaderSize = 4         // of a packet: the payload's length in three bytes, and a sequence number
	MaxPayload = 1<<24 - 1 // of one packet; a payload of this length is continued in the next packet
)

// Flags is what one side can do, in the lower half those of MySQL, in the upper half those of MariaDB.
type Flags uint64

// Flags by which each side says what it can.
const (
	LongPassword     Flags = 1 << 0 // absent in a MariaDB that has flags of its own
	FoundRows        Flags = 1 << 1
	LongFlag         Flags = 1 << 2
	ConnectWithDB    Flags = 1 << 3
	NoSchema         Flags = 1 << 4
	Compress         Flags = 1 << 5
	ODBC             Flags = 1 << 6
	LocalFiles       Flags = 1 << 7
	IgnoreSpace      Flags = 1 << 8
	Protocol41       Flags = 1 << 9
	Interactive      Flags = 1 << 10
	TLS              Flags = 1 << 11
	IgnoreSIGPIPE    Flags = 1 << 12
	Transactions     Flags = 1 << 13
	Reserved         Flags = 1 << 14
	SecureConnection Flags = 1 << 15
	MultiStatements  Flags = 1 << 16
	MultiResults     Flags = 1 << 17
	PSMultiResults   Flags = 1 << 18
	PluginAuth       Flags = 1 << 19
	ConnectAttrs     Flags = 1 << 20
	LongAuthData     Flags = 1 << 21 // the answer of the handshake response has a length of any size
	ExpiredPasswords Flags = 1 << 22
	SessionTrack     Flags = 1 << 23
	DeprecateEOF     Flags = 1 << 24
	OptionalMetadata Flags = 1 << 25
	Zstandard        Flags = 1 << 26
	QueryAttributes  Flags = 1 << 27

	Progress         Flags = 1 << 32
	BulkOperations   Flags = 1 << 34
	ExtendedMetadata Flags = 1 << 35
	CacheMetadata    Flags = 1 << 36
	BulkUnitResults  Flags = 1 << 37
)

// Command is the first byte of what a client asks for.
type Command byte

// Commands.
const (
	ComSleep           Command = 0x00
	ComQuit            Command = 0x01
	ComInitDB          Command = 0x02
	ComQuery           Command = 0x03
	ComFieldList       Command = 0x04
	ComCreateDB        Command = 0x05
	ComDropDB          Command = 0x06
	ComRefresh         Command = 0x07
	ComShutdown        Command = 0x08
	ComStatistics      Command = 0x09
	ComProcessInfo     Command = 0x0a
	ComConnect         Command = 0x0b
	ComProcessKill     Command = 0x0c
	ComDebug           Command = 0x0d
	ComPing            Command = 0x0e
	ComTime            Command = 0x0f
	ComDelayedInsert   Command = 0x10
	ComChangeUser      Command = 0x11
	ComBinlogDump      Command = 0x12
	ComTableDump       Command = 0x13
	ComConnectOut      Command = 0x14
	ComRegisterReplica Command = 0x15
	ComStmtPrepare     Command = 0x16
	ComStmtExecute     Command = 0x17
	ComStmtLongData    Command = 0x18
	ComStmtClose       Command = 0x19
	ComStmtReset       Command = 0x1a
	ComSetOption       Command = 0x1b
	ComStmtFetch       Command = 0x1c
	ComDaemon          Command = 0x1d
	ComBinlogDumpGTID  Command = 0x1e
	ComResetConnection Command = 0x1f
	ComStmtBulkExecute Command = 0xfa // MariaDB's
	ComMulti           Command = 0xfe // MariaDB's
)

// Status flags of a session, at the end of an answer.
const (
	StatusMoreResults  uint16 = 1 << 3
	StatusCursorExists uint16 = 1 << 6
	StatusLastRowSent  uint16 = 1 << 7
	StatusStateChanged uint16 = 1 << 14
)

// First bytes of answers.
const (
	HeaderOK    = 0x00
	HeaderFile  = 0xfb // the client is to send the content of a file
	HeaderEOF   = 0xfe // also of an OK that ends rows
	HeaderError = 0xff
)

// Methods of authentication.
const (
	NativePassword = "mysql_native_password"
	CachingSHA2    = "caching_sha2_password"
	ClearPassword  = "mysql_clear_password"
	Ed25519        = "client_ed25519"
)

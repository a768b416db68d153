package redis

// everyone is the account of clients that name none.
const everyone = "default"

// credentials are what a client says of itself in AUTH or HELLO.
type credentials struct {
	user, password string
	given          bool
}

// helloOptions are the arguments of HELLO.
type helloOptions struct {
	credentials
	version    string // empty if the protocol stays as it is
	name       string
	passwordAt int // which argument it is
}

// parseAuth reads the arguments of AUTH. It reports false for a number of them that there is not.
func parseAuth(args [][]byte) (c credentials, ok bool) {
	switch len(args) {
	case 2:
		return credentials{everyone, string(args[1]), true}, true
	case 3:
		return credentials{string(args[1]), string(args[2]), true}, true
	default:
		return c, false
	}
}

// parseHello reads the arguments of HELLO as the server does (helloCommand of its networking.c), and reports false for
// those that are an error there.
func parseHello(args [][]byte) (o helloOptions, ok bool) {
	if len(args) > 1 {
		o.version = string(args[1])
	}
	for i := 2; i < len(args); {
		switch left := len(args) - i - 1; {
		case is(args[i], "auth") && left >= 2:
			o.credentials = credentials{string(args[i+1]), string(args[i+2]), true}
			o.passwordAt = i + 2
			i += 3
		case is(args[i], "setname") && left >= 1:
			o.name = string(args[i+1])
			i += 2
		default:
			return o, false
		}
	}
	return o, true
}

// proto returns the version that is asked for, or 0 for what is none.
func (o *helloOptions) proto() byte {
	if len(o.version) != 1 {
		return 0
	}
	return o.version[0] - '0'
}

// credentialsOf returns what a command says of who the client is.
func credentialsOf(c *command, args [][]byte) credentials {
	switch {
	case c == nil:
	case c.role == login:
		given, _ := parseAuth(args)
		return given
	case c.role == hello:
		if options, ok := parseHello(args); ok {
			return options.credentials
		}
	}
	return credentials{}
}

// otherAccount refuses credentials of another account than the session's. What a client says in its connection never
// changes who it is in the database.
func otherAccount(c credentials, account string, named bool) *refusal {
	if named {
		return refuse(codeWrongPass, "failed to authenticate as %s user. Please provide a correct db username when connecting to Redis: this session is for %s", c.user, account)
	}
	return refuse(codeWrongPass, "failed to authenticate as the default user. Please provide the db username when connecting to Redis: AUTH %s <password>", account)
}

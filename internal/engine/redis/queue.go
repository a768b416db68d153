package redis

import "time"

// request is a command that was sent on and is not answered yet.
type request struct {
	role     role
	own      bool        // not the client's: its reply is not passed on
	to       *node       // that is to answer it, if it is ours
	whole    *wholeReply // ours, and where all of its reply is kept
	expect   int         // of subscriptions: answers that are to come; -1 if that depends on what is subscribed
	names    byte        // of subscriptions
	proto    byte        // of HELLO: the version asked for
	masked   bool        // it has secrets, which the server may repeat in an error
	sent     []byte      // in a cluster: what may have to be sent again
	slot     int         // in a cluster: of its keys, -1 if it is not known to have any
	scripted bool        // the words of its error may be those of a script
	event    int64       // index of its record
	command  int         // which of the commands in that, counted from 1; 0 if it is alone there
	notable  bool        // it concerns the server
	began    time.Time   // when it was recorded
	answer   chan string
	database string // of SELECT

	redirected int // how often it was sent again
}

// foresee notes what has to be known of a command when its reply comes.
func (q *request) foresee(c *command, args [][]byte) {
	q.scripted = c.scripted()
	switch c.role {
	case selects:
		q.database = databaseOf(args)
	case hello:
		if options, ok := parseHello(args); ok {
			q.proto = options.proto()
		}
	case subscribe:
		q.names = c.names
		if q.expect = len(args) - 1; q.expect == 0 && isUnsubscribe(c.names) {
			q.expect = allChannels
		}
	}
}

package pgtest

import "github.com/jackc/pgx/v5/pgproto3"

// serve answers messages until the client leaves.
func (c *Conn) serve() {
	statements := make(map[string]string)
	portals := make(map[string]string)
	for {
		message, err := c.Receive()
		if err != nil {
			return
		}
		if c.Server.options.Command != nil && c.Server.options.Command(c, message) {
			continue
		}
		switch m := message.(type) {
		case *pgproto3.Query:
			c.saw(m.String)
			c.row(m.String)
			c.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
			err = c.Backend.Flush()
		case *pgproto3.Parse:
			statements[m.Name] = m.Query
			c.Send(&pgproto3.ParseComplete{})
		case *pgproto3.Bind:
			portals[m.DestinationPortal] = statements[m.PreparedStatement]
			c.Send(&pgproto3.BindComplete{})
		case *pgproto3.Describe:
			c.describe(m)
		case *pgproto3.Execute:
			c.saw(portals[m.Portal])
			c.values(portals[m.Portal])
		case *pgproto3.Close:
			c.Send(&pgproto3.CloseComplete{})
		case *pgproto3.Flush:
			err = c.Backend.Flush()
		case *pgproto3.Sync:
			c.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
			err = c.Backend.Flush()
		case *pgproto3.Terminate:
			return
		}
		if err != nil {
			return
		}
	}
}

func (c *Conn) saw(text string) {
	c.Server.note(func() { c.Server.seen = append(c.Server.seen, text) })
}

var column = pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{
	{Name: []byte("statement"), DataTypeOID: 25, DataTypeSize: -1, TypeModifier: -1},
}}

// row answers a Query with its own text.
func (c *Conn) row(text string) {
	c.Send(&column)
	c.values(text)
}

func (c *Conn) values(text string) {
	c.Send(&pgproto3.DataRow{Values: [][]byte{[]byte(text)}})
	c.Send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")})
}

func (c *Conn) describe(m *pgproto3.Describe) {
	if m.ObjectType == 'S' {
		c.Send(&pgproto3.ParameterDescription{})
	}
	c.Send(&column)
}

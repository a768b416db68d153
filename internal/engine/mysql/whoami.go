package mysql

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"sallyport/internal/fault"
	"sallyport/internal/mysqlwire"
)

// whoAmI is the statement by which a server tells which of its accounts a session has.
const whoAmI = "SELECT CURRENT_USER()"

// identify asks the database which account it has taken the login for. The anonymous one, whose host may fit better than that of the account
// which was named, lets everybody in under any name: the record would tell of another account than the one that acts. Other accounts may stand for the
// named one on purpose (proxy users), and a server that does not answer, such as because a password has expired, is left alone.
func (l *login) identify() error {
	l.sequence = 0
	if err := l.send(append([]byte{byte(mysqlwire.ComQuery)}, whoAmI...)); err != nil {
		return fmt.Errorf("asking for the account: %w", err)
	}
	account, err := l.readAccount()
	if err != nil {
		return err
	}
	l.account = account
	if host, anonymous := strings.CutPrefix(account, "@"); anonymous {
		return fault.New(fault.AccessDenied, "the database takes account %q for its anonymous account; %s", l.up.User, dropAnonymous(l.up.User, host))
	}
	return nil
}

// readAccount reads the one text of the answer; it is empty when there is an error instead.
func (l *login) readAccount() (account string, err error) {
	const count, column, value, end = 0, 1, 2, 3 // what comes next
	for next := count; ; {
		payload, _, err := mysqlwire.ReadPacket(l.conn, loginPacket)
		if err != nil {
			return "", fmt.Errorf("reading which account it is: %w", err)
		}
		switch {
		case len(payload) == 0:
			return "", unexpectedInLogin(errors.New("an empty packet in the answer to a statement"))
		case next == count && payload[0] == mysqlwire.HeaderError:
			return "", nil
		case next == count && payload[0] == 1, next == column:
			next++
		case next == value && payload[0] == mysqlwire.HeaderEOF && len(payload) < 9: // behind the columns; newer clients get none
		case next == value:
			text, ok := mysqlwire.FirstText(payload)
			if !ok {
				return "", unexpectedInLogin(errors.New("a row that cannot be read"))
			}
			account = text
			next = end
		case next == end && payload[0] == mysqlwire.HeaderEOF:
			return account, nil
		default:
			return "", unexpectedInLogin(fmt.Errorf("packet %#x in the answer to a statement", payload[0]))
		}
	}
}

func dropAnonymous(account, host string) string {
	return fmt.Sprintf("remove that with DROP USER ''@%s, because it goes before %s@'%%'", literal(host), literal(account))
}

// anonymous is in messages about the anonymous account.
var anonymous = regexp.MustCompile(`for user ''@'([^']*)'`)

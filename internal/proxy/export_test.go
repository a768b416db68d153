package proxy

// ReadMySQLResponse is exported for tests.
var ReadMySQLResponse = readMySQLResponse

// CarryOut has a proxy that has stopped, or has not, carry something out, and waits for what it has begun.
func CarryOut(stopped bool, end func()) {
	p := &Proxy{}
	if stopped {
		p.wait()
	}
	p.carryOut(end)
	p.wait()
}

package fakeaws

// RedisAccount is an account of a database of ElastiCache or MemoryDB, as its servers have it.
type RedisAccount struct {
	Rules      string   // access string
	IAM        bool     // tokens open it, and nothing else
	Passwords  []string // that open it now
	NoPassword bool     // any password opens it, and none
}

// RedisAccount finds an account of a server, known as in Target.Host. It reports false for one that the server does not
// have.
func (w *World) RedisAccount(service, host, name string) (account RedisAccount, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	target := w.servers[service+" "+host]
	if target == nil || target.RedisAccounts == nil {
		return account, false
	}
	return target.RedisAccounts(name)
}

package proxy

// Agents returns how many agents are connected, without one in this process.
func (p *Proxy) Agents() int {
	p.links.mu.Lock()
	defer p.links.mu.Unlock()
	return len(p.links.all)
}

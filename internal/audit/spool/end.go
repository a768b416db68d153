package spool

// End returns how far this process's own stream has got.
func (s *Spool) End() Pos {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Pos(s.next)
}

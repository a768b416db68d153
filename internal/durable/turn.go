package durable

// WithDir runs work while no other process runs such work with the same directory, for which it waits. Where directories cannot be
// locked, as on some network file systems, it does not wait.
func WithDir(path string, work func() error) error {
	defer takeTurn(path)()
	return work()
}

//go:build !linux

package splice

func copyStream(dst, src Conn) (int64, error) { return copyBuffered(dst, src) }

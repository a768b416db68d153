//go:build !unix

package durable

func takeTurn(string) (done func()) { return func() {} }

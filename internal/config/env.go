package config

import "os"

// Env is what reading a file asks of its surroundings. Both fields must be set.
type Env struct {
	Hostname string
	ReadFile func(path string) ([]byte, error)
}

// SystemEnv is the host this process runs on.
func SystemEnv() Env {
	name, err := os.Hostname()
	if err != nil || name == "" {
		name = "localhost"
	}
	return Env{Hostname: name, ReadFile: os.ReadFile}
}

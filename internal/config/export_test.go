package config

import "reflect"

// FileType is the struct that mirrors the file, for a test that walks its keys.
var FileType = reflect.TypeFor[fileConfig]()

// Silent reports a type whose keys never have an effect, which its own tests cover.
func Silent(t reflect.Type) bool {
	return t == reflect.TypeFor[noEffect]() || t == reflect.TypeFor[absentService]()
}

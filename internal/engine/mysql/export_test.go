package mysql

// FilesIn returns the files of the client that a text asks for.
func FilesIn(text []byte) []string { return filesIn(text) }

// TranslateKill returns a statement with the real number of a connection in place of the one that was given out.
func TranslateKill(e *Engine, text, database string) (string, bool) {
	translated, ok := e.threads.translateKill([]byte(text), database)
	return string(translated), ok
}

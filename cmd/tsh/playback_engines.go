package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"sallyport/internal/resource"
)

// mysql tells a command of MySQL that is none of text. It reports false for what is said elsewhere, or not known.
func (p *playback) mysql(b *strings.Builder, e *told) bool {
	text := ""
	switch strings.TrimPrefix(e.Event, "db.session.mysql.") {
	case "statements.prepare":
		text = "prepare: " + e.Text
	case "statements.execute":
		return true // the statement follows, with the same values
	case "statements.bulk_execute":
		text = fmt.Sprintf("%s (with %d rows of values)", e.Text, e.RowsCount)
	case "statements.send_long_data":
		text = fmt.Sprintf("%d bytes for parameter %d of statement %d", e.DataSize, e.ParameterID, e.StatementID)
	case "statements.fetch":
		text = fmt.Sprintf("fetch %d rows of statement %d", e.RowsCount, e.StatementID)
	case "statements.close":
		text = fmt.Sprintf("close statement %d", e.StatementID)
	case "statements.reset":
		text = fmt.Sprintf("reset statement %d", e.StatementID)
	case "init_db":
		text = "use " + e.Schema
	case "create_db":
		text = "create database " + e.Schema
	case "drop_db":
		text = "drop database " + e.Schema
	case "process_kill":
		text = fmt.Sprintf("kill %d", e.ProcessID)
	case "refresh":
		text = "refresh " + e.Subcommand
	case "shut_down":
		text = "shut down the server"
	case "debug":
		text = "have the server write about itself into its log"
	case "command":
		text = strings.TrimSpace("command " + e.Command.name + " " + e.Argument)
	default:
		return false
	}
	p.statement(b, e, text)
	p.values(b, "parameters", e.Values, e.BinaryValues)
	if e.Error != "" {
		fmt.Fprintf(b, "   refused: %s\n", indented(e.Error))
	}
	return true
}

// commandText is a command as people read it: of MongoDB, without what only drivers want to know.
func commandText(e *told) string {
	switch {
	case e.Query == "" && e.StatementID > 0:
		return fmt.Sprintf("execute statement %d", e.StatementID)
	case e.Protocol != resource.ProtocolMongoDB:
		return e.Query
	}
	fields, ok := fieldsOf(e.Query)
	if !ok {
		return e.Query // as much of it as was recorded
	}
	var shown []string
	for _, field := range fields {
		switch field.key {
		case "lsid", "$clusterTime", "$readPreference":
			continue
		case "$db":
			var name string
			if json.Unmarshal(field.value, &name) == nil && name == e.Database {
				continue // it is in front of the command
			}
		}
		shown = append(shown, field.key+": "+string(field.value))
	}
	return strings.Join(shown, ", ")
}

type jsonField struct {
	key   string
	value json.RawMessage
}

// fieldsOf parts an object into its fields, in their order.
func fieldsOf(text string) ([]jsonField, bool) {
	decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
	if begin, err := decoder.Token(); err != nil || begin != json.Delim('{') {
		return nil, false
	}
	var fields []jsonField
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return nil, false
		}
		name, ok := key.(string)
		field := jsonField{key: name}
		if err := decoder.Decode(&field.value); err != nil || !ok {
			return nil, false
		}
		fields = append(fields, field)
	}
	_, err := decoder.Token()
	return fields, err == nil && !decoder.More()
}

package main

import (
	"io"
	"strings"
	"time"

	"sallyport/internal/resource"
	"sallyport/internal/terminal"
)

// printTables shows resources as text, one table for each kind.
func printTables(out io.Writer, all []resource.Resource) error {
	for len(all) > 0 {
		kind, n := all[0].GetKind(), 0
		for n < len(all) && all[n].GetKind() == kind {
			n++
		}
		table := terminal.Table{Header: header(kind)}
		for _, r := range all[:n] {
			table.Rows = append(table.Rows, row(r))
		}
		if err := table.Write(out); err != nil {
			return err
		}
		all = all[n:]
	}
	return nil
}

func header(kind string) []string {
	switch kind {
	case resource.KindDatabase:
		return []string{"Name", "Protocol", "URI", "Labels"}
	case resource.KindDatabaseServer:
		return []string{"Host", "Name", "Protocol", "URI", "Labels", "Version"}
	case resource.KindRole:
		return []string{"Role", "Database Users", "Database Names", "Database Labels"}
	case resource.KindUser:
		return []string{"User"}
	case resource.KindLock:
		return []string{"ID", "Target", "Message", "Expires"}
	default:
		return []string{"Kind", "Name"}
	}
}

func row(r resource.Resource) []string {
	switch r := r.(type) {
	case *resource.Database:
		return []string{r.GetName(), r.Spec.Protocol, r.Spec.URI, terminal.Labels(r.AllLabels())}
	case *resource.DatabaseServer:
		db := r.Spec.Database
		return []string{r.Spec.Hostname, r.GetName(), db.Spec.Protocol, db.Spec.URI, terminal.Labels(db.AllLabels()), r.Spec.Version}
	case *resource.Role:
		var labels []string
		for key, values := range r.Spec.Allow.DatabaseLabels {
			labels = append(labels, key+"="+strings.Join(values, "|"))
		}
		return []string{r.GetName(), strings.Join(r.Spec.Allow.DatabaseUsers, ","), strings.Join(r.Spec.Allow.DatabaseNames, ","), strings.Join(labels, ",")}
	case *resource.User:
		return []string{r.GetName()}
	case *resource.Lock:
		expires := "never"
		if r.Spec.Expires != nil {
			expires = r.Spec.Expires.UTC().Format(time.RFC3339)
		}
		return []string{r.GetName(), r.Spec.Target.String(), r.Spec.Message, expires}
	default:
		return []string{r.GetKind(), r.GetName()}
	}
}

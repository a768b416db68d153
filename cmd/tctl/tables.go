package main

import (
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport/internal/resource"
	"sallyport/internal/terminal"
)

// printTables shows resources as text, one table for each kind, also for kinds of which there are none.
// Verbose cuts nothing short and shows labels that only programs care for.
func printTables(out io.Writer, all []listing, verbose bool) error {
	for _, l := range all {
		table := terminal.Table{Header: header(l.kind), Wide: verbose}
		if l.kind == resource.KindLock {
			table.Whole = []string{"ID"} // tctl rm takes the whole id
		}
		for _, r := range l.found {
			table.Rows = append(table.Rows, rows(r, verbose)...)
		}
		if err := table.Write(out); err != nil {
			return err
		}
	}
	return nil
}

func header(kind string) []string {
	switch kind {
	case resource.KindDatabase:
		return []string{"Name", "Protocol", "URI", "Labels"}
	case resource.KindDatabaseServer:
		return []string{"Host", "Name", "Protocol", "URI", "Health", "Labels", "Version"}
	case resource.KindRole:
		return []string{"Role", "Database Users", "Database Names", "Database Labels"}
	case resource.KindUser:
		return []string{"User"}
	case resource.KindLock:
		return []string{"ID", "Target", "Message", "Expires"}
	case resource.KindDiscoveryConfig:
		return []string{"Name", "Group", "Types", "Regions"}
	case resource.KindHealthCheckConfig:
		return []string{"Name", "Interval", "Timeout", "Healthy After", "Unhealthy After", "Labels", "Expression"}
	case resource.KindDiscoveryService:
		return []string{"Host", "Group", "Config", "Type", "Region", "Role", "Found", "Last Success", "Error"}
	default:
		return []string{"Kind", "Name"}
	}
}

// rows returns the rows of a resource: one, but for a Discovery Service one for each of its looks.
func rows(r resource.Resource, verbose bool) [][]string {
	service, ok := r.(*resource.DiscoveryService)
	if !ok {
		return [][]string{row(r, verbose)}
	}
	all := [][]string{}
	for _, m := range service.Spec.Matchers {
		success := "never"
		if m.LastSuccess != nil {
			success = m.LastSuccess.UTC().Format(time.RFC3339)
		}
		all = append(all, []string{service.Spec.Hostname, service.Spec.Group, m.Config, m.Type, m.Region, m.AssumeRoleARN, strconv.Itoa(m.Found), success, m.Error})
	}
	if len(all) == 0 {
		all = append(all, []string{service.Spec.Hostname, service.Spec.Group, "", "", "", "", "0", "never", "no matchers"})
	}
	return all
}

func row(r resource.Resource, verbose bool) []string {
	switch r := r.(type) {
	case *resource.Database:
		return []string{r.GetName(), r.Spec.Protocol, r.ShownURI(), shownLabels(r.AllLabels(), verbose)}
	case *resource.DatabaseServer:
		db := r.Spec.Database
		return []string{r.Spec.Hostname, r.GetName(), db.Spec.Protocol, db.ShownURI(), r.Status.TargetHealth.ShownStatus(), shownLabels(db.AllLabels(), verbose), r.Spec.Version}
	case *resource.Role:
		return []string{r.GetName(), strings.Join(r.Spec.Allow.DatabaseUsers, ","), strings.Join(r.Spec.Allow.DatabaseNames, ","), shownSelector(r.Spec.Allow.DatabaseLabels)}
	case *resource.User:
		return []string{r.GetName()}
	case *resource.Lock:
		expires := "never"
		if r.Spec.Expires != nil {
			expires = r.Spec.Expires.UTC().Format(time.RFC3339)
		}
		return []string{r.GetName(), r.Spec.Target.String(), r.Spec.Message, expires}
	case *resource.DiscoveryConfig:
		var types, regions []string
		for _, m := range r.Spec.AWS {
			types, regions = append(types, m.Types...), append(regions, m.Regions...)
		}
		return []string{r.GetName(), r.Spec.Group, strings.Join(types, ","), strings.Join(regions, ",")}
	case *resource.HealthCheckConfig:
		s := r.Spec
		return []string{r.GetName(), s.Interval.Std().String(), s.Timeout.Std().String(), strconv.Itoa(s.HealthyThreshold), strconv.Itoa(s.UnhealthyThreshold),
			shownSelector(resource.Labels(s.Match.DatabaseLabels)), s.Match.DatabaseLabelsExpression}
	default:
		return []string{r.GetKind(), r.GetName()}
	}
}

// shownSelector writes labels with their alternatives.
func shownSelector(selector resource.Labels) string {
	var labels []string
	for _, key := range slices.Sorted(maps.Keys(selector)) {
		labels = append(labels, key+"="+strings.Join(selector[key], "|"))
	}
	return strings.Join(labels, ",")
}

// shownLabels leaves out where a database comes from, unless asked for everything.
func shownLabels(labels map[string]string, verbose bool) string {
	if !verbose {
		labels = maps.Clone(labels)
		delete(labels, resource.LabelOrigin)
	}
	return terminal.Labels(labels)
}

package resource

import "maps"

// Difference names in what another database of the same name differs from this one: where it is, or the labels by which roles
// select it. It is "" if both are the same there. An agent that serves the one cannot stand for the other otherwise.
func (d *Database) Difference(other *Database) string {
	switch {
	case other.Spec.Protocol != d.Spec.Protocol:
		return "protocol"
	case other.Spec.URI != d.Spec.URI:
		return "address"
	case !maps.Equal(other.writtenLabels(), d.writtenLabels()):
		return "labels"
	}
	return ""
}

// writtenLabels returns the labels that were written, without the one that says where.
func (d *Database) writtenLabels() map[string]string {
	labels := maps.Clone(d.Metadata.Labels)
	delete(labels, LabelOrigin)
	return labels
}

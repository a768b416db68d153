package discovery

import (
	"context"

	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/resource"
)

// entry is a database in its stored form, which takes a quarter of the memory: there may be ten thousand.
type entry struct {
	name string
	uri  string
	json []byte // without the revision, and without what agents found out
}

func entryOf(db *resource.Database) (entry, error) {
	c := *db
	c.Metadata.Revision, c.Status = "", resource.DatabaseStatus{}
	json, err := resource.Encode(&c)
	return entry{db.GetName(), db.Spec.URI, json}, err
}

func (e entry) database() (*resource.Database, error) {
	r, err := resource.Decode(resource.KindDatabase, e.json)
	if err != nil {
		return nil, err
	}
	return r.(*resource.Database), nil
}

// registered is a database of the cluster.
type registered struct {
	entry
	revision string
	look     lookID // that registered it, if it is of the group
	owned    bool   // by the group: removed when it is gone
	free     bool   // to be replaced by a database that is found
}

const pageSize = 500

// registered returns the databases of the cluster. They are asked for in every round, because a copy of all that is kept
// current takes more than everything else here.
func (s *Service) registered(ctx context.Context) ([]registered, error) {
	var all []registered
	req := &sallyportv1.ListResourcesRequest{Kind: resource.KindDatabase, PageSize: pageSize}
	for {
		page, err := s.page(ctx, req)
		if err != nil {
			return nil, err
		}
		for _, wire := range page.GetResources() {
			r, err := resource.Decode(resource.KindDatabase, wire.GetJson())
			if err != nil {
				return nil, err
			}
			db := r.(*resource.Database)
			one, err := entryOf(db)
			if err != nil {
				return nil, err
			}
			all = append(all, registered{entry: one, revision: db.Metadata.Revision, look: lookOf(db), owned: s.owns(db), free: s.mayTake(db)})
		}
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			return all, nil
		}
	}
}

func (s *Service) page(ctx context.Context, req *sallyportv1.ListResourcesRequest) (*sallyportv1.ListResourcesResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return s.cfg.Auth.Resources.ListResources(ctx, req)
}

// owns reports whether a registered database is one of this service's group, to be removed when it is gone.
func (s *Service) owns(db *resource.Database) bool {
	return db.Origin() == resource.OriginCloud && db.Metadata.Labels[resource.LabelDiscoveryGroup] == s.cfg.Group
}

// mayTake reports whether a registered database may be replaced by one that was found: the group's own, and
// those that discovery registered without a group.
func (s *Service) mayTake(db *resource.Database) bool {
	return s.owns(db) || db.Origin() == resource.OriginCloud && db.Metadata.Labels[resource.LabelDiscoveryGroup] == ""
}

// lookOf returns which look registered a database.
func lookOf(db *resource.Database) lookID {
	labels := db.Metadata.Labels
	return lookID{labels[resource.LabelDiscoveryConfig], labels[resource.LabelDiscoveryType], db.Spec.AWS.Region, db.Spec.AWS.AssumeRoleARN}
}

// mark says in a database's labels who found it, and how.
func mark(db *resource.Database, look Look, group string) {
	labels := db.Metadata.Labels
	if labels == nil {
		labels = make(map[string]string)
		db.Metadata.Labels = labels
	}
	labels[resource.LabelOrigin] = resource.OriginCloud
	labels[resource.LabelDiscoveryType] = look.Type
	for key, value := range map[string]string{resource.LabelDiscoveryGroup: group, resource.LabelDiscoveryConfig: look.Config} {
		if delete(labels, key); value != "" {
			labels[key] = value
		}
	}
}

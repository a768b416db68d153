package cred

import (
	"context"

	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// Dispatch is a source that asks another one, by what the database is. Both fields must be set.
type Dispatch struct {
	SelfHosted Source
	AWS        Source
}

// Credential implements Source. Databases of other clouds are refused: none of them trusts certificates of the
// cluster, so they are shown none.
func (d Dispatch) Credential(ctx context.Context, req Request) (*Credential, error) {
	source, err := d.of(req.Database)
	if err != nil {
		return nil, err
	}
	return source.Credential(ctx, req)
}

func (d Dispatch) of(db *resource.Database) (Source, error) {
	switch {
	case db.InAWS():
		return d.AWS, nil
	case db.Type() == resource.TypeSelfHosted || db.Type() == resource.TypeMongoAtlas:
		return d.SelfHosted, nil
	default:
		return nil, fault.New(fault.BadParameter, "database %q is of type %s, which this version cannot log in to", db.GetName(), db.Type())
	}
}

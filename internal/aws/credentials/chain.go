package credentials

import (
	"encoding/json"
	"maps"

	"sallyport/internal/aws/endpoint"
	"sallyport/internal/fault"
)

// Chain says whose credentials are wanted: those of the process itself (the zero Chain), or of a role that it
// assumes, or of a role that the first role assumes. There are never more than these two hops.
type Chain struct {
	// Region whose STS is asked, and that clients of the credentials talk to; empty for the one of the
	// environment.
	Region string
	// AssumeRoleARN is the first hop: assume_role_arn of a database or matcher. Empty for none.
	AssumeRoleARN string
	// ExternalID is sent on one hop: the first if there is one, otherwise the user's.
	ExternalID string
	// UserRoleARN is the hop to a role that is used as a database account. Empty for none.
	UserRoleARN string
	// User is who uses UserRoleARN. AWS sees the name in the session; see SessionName.
	User string
	// SessionTags are put on the session of UserRoleARN. They need sts:TagSession on both sides.
	SessionTags map[string]string
}

// hop is one AssumeRole.
type hop struct {
	role, externalID, session string
	tags                      map[string]string
}

// hops returns what is assumed, in order. Service names sessions that are not of one user.
func (c Chain) hops(service string) []hop {
	var hops []hop
	if c.AssumeRoleARN != "" {
		hops = append(hops, hop{role: c.AssumeRoleARN, externalID: c.ExternalID, session: service})
	}
	if c.UserRoleARN != "" {
		last := hop{role: c.UserRoleARN, session: SessionName(c.User), tags: c.SessionTags}
		if c.AssumeRoleARN == "" {
			last.externalID = c.ExternalID
		}
		hops = append(hops, last)
	}
	return hops
}

// withoutUser returns the chain up to its first hop.
func (c Chain) withoutUser() Chain {
	short := Chain{Region: c.Region, AssumeRoleARN: c.AssumeRoleARN}
	if c.AssumeRoleARN != "" {
		short.ExternalID = c.ExternalID
	}
	return short
}

// parent returns the chain whose credentials assume the last role.
func (c Chain) parent() Chain {
	if c.UserRoleARN != "" {
		return c.withoutUser()
	}
	return Chain{Region: c.Region}
}

// key tells chains apart by everything that AWS is told.
func (c Chain) key() string {
	if c.AssumeRoleARN == "" && c.UserRoleARN == "" {
		return "" // the process's own credentials are the same in every region
	}
	key, _ := json.Marshal(c) // strings and a map of strings: cannot fail, and keys are sorted
	return string(key)
}

func (c Chain) check() error {
	for _, role := range []string{c.AssumeRoleARN, c.UserRoleARN} {
		if err := checkRole(role, c.Region); role != "" && err != nil {
			return err
		}
	}
	switch {
	case c.ExternalID != "" && c.AssumeRoleARN == "" && c.UserRoleARN == "":
		return fault.New(fault.BadParameter, "external_id is set but assume_role_arn is empty; set aws.assume_role_arn to the role that asks for the external id")
	case c.UserRoleARN != "" && c.User == "":
		return fault.New(fault.Internal, "a role is used as database user by nobody")
	case c.UserRoleARN == "" && len(c.SessionTags) > 0:
		return fault.New(fault.BadParameter, "session tags need a role as database user; remove aws.session_tags")
	}
	return nil
}

func checkRole(arn, region string) error {
	role, err := endpoint.ParseRole(arn)
	if err != nil {
		return fault.New(fault.BadParameter, "%s", err)
	}
	if partition := endpoint.PartitionOf(region); region != "" && role.Partition != partition {
		return fault.New(fault.BadParameter, "the role %s is in partition %s, and region %s in %s; use a role of the database's partition", arn, role.Partition, region, partition)
	}
	return nil
}

func accountOf(arn string) string {
	parsed, err := endpoint.ParseARN(arn)
	if err != nil {
		return ""
	}
	return parsed.Account
}

func (c Chain) clone() Chain {
	c.SessionTags = maps.Clone(c.SessionTags)
	return c
}

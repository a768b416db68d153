package worldfile

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"sallyport/internal/aws/fakeaws"
)

// Built is a world made from a file.
type Built struct {
	World *fakeaws.World
	Keys  map[string]fakeaws.Keys // a long-lived key of each user, by "account/name"
	// VerifyCommand is "fakeaws verify", for databases that ask through PAM.
	VerifyCommand []string
	file          *File
	listeners     []fakeaws.MetadataListener
	tokens        []func() error
}

func (b *Built) account(a Account) error {
	if a.Partition == "" {
		a.Partition = "aws"
	}
	if len(a.ID) != 12 || strings.Trim(a.ID, "0123456789") != "" {
		return errors.New("an account id has 12 digits")
	}
	account := b.World.Account(a.Partition, a.ID)
	arns := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(a.Policies)) {
		arn, err := account.AddPolicy(name, document(a.Policies[name]))
		if err != nil {
			return err
		}
		arns[name] = arn
	}
	for _, p := range a.Providers {
		account.AddProvider(p.URL, p.Audiences...)
	}
	for _, one := range a.Users {
		permissions, err := one.permissions(arns)
		if err != nil {
			return err
		}
		user, err := account.AddUser(fakeaws.User{Name: one.Name, Path: one.Path, Permissions: permissions})
		if err != nil {
			return err
		}
		b.Keys[a.ID+"/"+one.Name] = user.CreateKeys()
	}
	for _, one := range a.Roles {
		permissions, err := one.permissions(arns)
		if err != nil {
			return err
		}
		if _, err := account.AddRole(fakeaws.Role{Name: one.Name, Path: one.Path, Trust: document(one.Trust), Permissions: permissions,
			MaxDuration: time.Duration(one.MaxSeconds) * time.Second}); err != nil {
			return err
		}
	}
	return nil
}

func (i Identity) permissions(arns map[string]string) (fakeaws.Permissions, error) {
	p := fakeaws.Permissions{Inline: map[string]string{}, Tags: i.Tags}
	for name, raw := range i.Inline {
		p.Inline[name] = document(raw)
	}
	for _, name := range i.Attached {
		if arns[name] == "" {
			return p, fmt.Errorf("%s: no policy %q in this account", i.Name, name)
		}
		p.Attached = append(p.Attached, arns[name])
	}
	if i.Boundary != "" {
		if p.Boundary = arns[i.Boundary]; p.Boundary == "" {
			return p, fmt.Errorf("%s: no policy %q in this account", i.Name, i.Boundary)
		}
	}
	return p, nil
}

// find finds an account and, if one is named, a role in it.
func (b *Built) find(id, role string) (*fakeaws.Account, *fakeaws.Role, error) {
	for _, account := range b.World.Accounts() {
		if account.ID != id {
			continue
		}
		if role == "" {
			return account, nil, nil
		}
		if found := account.Roles[role]; found != nil {
			return account, found, nil
		}
		return nil, nil, fmt.Errorf("account %s has no role %q", id, role)
	}
	return nil, nil, fmt.Errorf("no account %q", id)
}

func (b *Built) metadata() error {
	for _, one := range b.file.Instances {
		account, role, err := b.find(one.Account, one.Role)
		if err != nil {
			return fmt.Errorf("instances: %w", err)
		}
		switch mode := fakeaws.MetadataMode(one.Mode); mode {
		case fakeaws.MetadataBoth, fakeaws.MetadataV2Only, fakeaws.MetadataV1Only, fakeaws.MetadataHopLimit, fakeaws.MetadataOff:
		default:
			return fmt.Errorf("instances: no mode %q", mode)
		}
		instance := b.World.AddInstance(&fakeaws.Instance{ID: one.ID, Account: account, Role: role, Region: one.Region,
			Mode: fakeaws.MetadataMode(one.Mode), Tags: one.Tags})
		b.listeners = append(b.listeners, fakeaws.MetadataListener{Address: one.Listen, Handler: instance})
	}
	for _, one := range b.file.Containers {
		_, role, err := b.find(one.Account, one.Role)
		if err != nil {
			return fmt.Errorf("containers: %w", err)
		}
		if role == nil {
			return errors.New("containers: each needs a role")
		}
		b.listeners = append(b.listeners, fakeaws.MetadataListener{Address: one.Listen, Handler: &fakeaws.Container{Role: role, Token: one.Token}})
	}
	return nil
}

func (b *Built) issuers() error {
	for _, one := range b.file.Issuers {
		issuer, err := b.World.AddIssuer(one.URL)
		if err != nil {
			return err
		}
		if one.Listen != "" {
			b.listeners = append(b.listeners, fakeaws.MetadataListener{Address: one.Listen, Handler: issuer.Handler()})
		}
		for _, t := range one.Tokens {
			b.tokens = append(b.tokens, func() error {
				token, err := issuer.Token(fakeaws.Claims{Subject: t.Subject, Audience: t.Audience, Lifetime: time.Duration(t.Seconds) * time.Second})
				if err != nil {
					return err
				}
				return os.WriteFile(t.Path, []byte(token), 0o600)
			})
		}
	}
	return nil
}

func (b *Built) targets() error {
	for _, one := range b.file.Targets {
		account, _, err := b.find(one.Account, "")
		if err != nil {
			return fmt.Errorf("targets: %w", err)
		}
		b.World.AddTarget(fakeaws.Target{Service: one.Service, Host: one.Host, Account: account, Region: one.Region,
			ResourceID: one.ResourceID, Serverless: one.Serverless, Users: one.Users, IAMOff: one.IAMOff})
	}
	return nil
}

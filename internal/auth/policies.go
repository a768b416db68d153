package auth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"sallyport/internal/audit"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/aws/endpoint"
	"sallyport/internal/fault"
	"sallyport/internal/store"
)

const (
	policyTurn = time.Minute         // that an agent has for a change
	agentGone  = 24 * time.Hour      // without a word; running agents come by every hour
	policyLife = 90 * 24 * time.Hour // of the record of an identity that no agent comes to any more
	maxNeeds   = 300                 // of one agent; a policy of 10240 characters has room for about half of it
	maxNeed    = 1024                // bytes of an action or resource
	maxSharing = 200                 // agents of one identity
)

// kindPolicy are records of identities in AWS whose policies agents change.
const kindPolicy = "aws_policy"

// policyRecord is who may change the policy of an identity now, and what each agent needs of it.
type policyRecord struct {
	Identity string    `json:"identity"`
	Turn     string    `json:"turn,omitempty"` // empty when nobody has it
	Host     string    `json:"host,omitempty"`
	Until    time.Time `json:"until,omitzero"`
	// Agents by host id.
	Agents map[string]policyAgent `json:"agents,omitempty"`
}

type policyAgent struct {
	Seen  time.Time          `json:"seen"`
	Needs []policyPermission `json:"needs,omitempty"`
	// Told is the last change that was recorded, as a hash, until a turn went well: a change that is tried again and again is
	// recorded once.
	Told string `json:"told,omitempty"`
	// Left says that the agent was gone when the present turn began: whoever has it takes away what nobody else needs.
	Left bool `json:"left,omitempty"`
}

type policyPermission struct {
	Action   string `json:"a"`
	Resource string `json:"r"`
}

// policyAPI implements PolicyService. What it keeps is believed of each agent about itself only: the worst that an agent
// can do to another is to make it wait for a minute, again and again.
type policyAPI struct{ *Authority }

// BeginPolicyChange implements the API.
func (a policyAPI) BeginPolicyChange(ctx context.Context, req *sallyportv1.BeginPolicyChangeRequest) (*sallyportv1.BeginPolicyChangeResponse, error) {
	needs, err := readPermissions(req.GetNeeds())
	drops, dropsErr := readPermissions(req.GetDrops())
	if err := errors.Join(err, dropsErr); err != nil {
		return nil, err
	}
	if len(req.GetPolicy()) > maxNeed {
		return nil, errNeeds
	}
	host, res := callerOf(ctx).id.Name, &sallyportv1.BeginPolicyChangeResponse{}
	return res, a.changePolicy(ctx, req.GetIdentity(), func(p *policyRecord) (bool, error) {
		now := a.Now()
		if p.Turn != "" && p.Host != host && now.Before(p.Until) {
			res.Reset()
			return false, nil
		}
		if _, known := p.Agents[host]; !known && len(p.Agents) >= maxSharing {
			return false, fault.New(fault.LimitExceeded, "%d agents share %s already; give some of them another identity", maxSharing, p.Identity)
		}
		if p.Host != host || p.Turn == "" || !now.Before(p.Until) {
			p.Turn, p.Host = newUUID(), host
		}
		p.Until = now.Add(policyTurn)
		own := union(p.Agents[host].Needs, needs)
		if len(own) > 2*maxNeeds {
			return false, errNeeds
		}
		told, err := a.recordPolicyChange(ctx, p, host, req.GetPolicy(), needs, drops)
		if err != nil {
			return false, err
		}
		p.Agents[host] = policyAgent{Seen: now, Needs: own, Told: told}
		res.Turn, res.Lasts, res.Own = p.Turn, durationpb.New(policyTurn), wirePermissions(own)
		var others, left []policyPermission
		for name, agent := range p.Agents {
			switch agent.Left = now.Sub(agent.Seen) > agentGone; {
			case agent.Left:
				left = union(left, agent.Needs)
			case name != host:
				others = union(others, agent.Needs)
			}
			p.Agents[name] = agent
		}
		res.Others, res.Left = wirePermissions(others), wirePermissions(left)
		return true, nil
	})
}

// recordPolicyChange records what an agent is about to do, if that is anything, and returns what says so in its record.
func (a *Authority) recordPolicyChange(ctx context.Context, p *policyRecord, host, policy string, adds, drops []policyPermission) (told string, err error) {
	told = p.Agents[host].Told
	if len(adds)+len(drops) == 0 {
		return told, nil
	}
	event := &audit.IAMPolicyChange{ServerMeta: audit.ServerMeta{ID: host}, Identity: p.Identity, Policy: policy, Added: permissionTexts(adds), Removed: permissionTexts(drops)}
	sum := sha256.New()
	for _, text := range slices.Concat([]string{policy, "adds"}, event.Added, []string{"drops"}, event.Removed) {
		fmt.Fprintf(sum, "%d:%s", len(text), text) // never fails
	}
	now := hex.EncodeToString(sum.Sum(nil))
	if now == told {
		return told, nil
	}
	return now, a.record(ctx, event)
}

// permissionTexts writes permissions in their order, each once.
func permissionTexts(all []policyPermission) []string {
	var texts []string
	for _, one := range union(all, nil) {
		texts = append(texts, one.Action+" "+one.Resource)
	}
	return texts
}

// EndPolicyChange implements the API.
func (a policyAPI) EndPolicyChange(ctx context.Context, req *sallyportv1.EndPolicyChangeRequest) (*sallyportv1.EndPolicyChangeResponse, error) {
	granted, err := readPermissions(req.GetGranted())
	if err != nil {
		return nil, err
	}
	host := callerOf(ctx).id.Name
	return &sallyportv1.EndPolicyChangeResponse{}, a.changePolicy(ctx, req.GetIdentity(), func(p *policyRecord) (bool, error) {
		if p.Host != host || p.Turn == "" || p.Turn != req.GetTurn() { // that it is late does not matter while nobody came between
			return false, fault.New(fault.CompareFailed, "the turn at the policy of %s is over; another agent may have changed it since", p.Identity)
		}
		p.Turn, p.Host, p.Until = "", "", time.Time{}
		if req.GetFailed() {
			return true, nil
		}
		maps.DeleteFunc(p.Agents, func(_ string, agent policyAgent) bool { return agent.Left })
		p.Agents[host] = policyAgent{Seen: a.Now(), Needs: granted}
		if len(granted) == 0 {
			delete(p.Agents, host)
		}
		return true, nil
	})
}

// changePolicy reads a record, lets it be changed, and writes it if it was. The function may be called several times.
func (a *Authority) changePolicy(ctx context.Context, identity string, change func(*policyRecord) (changed bool, err error)) error {
	arn, err := endpoint.ParseARN(identity)
	kind, name, _ := strings.Cut(arn.Resource, "/")
	if err != nil || len(identity) > maxNeed || arn.Service != "iam" || !endpoint.IsAccount(arn.Account) || kind != "role" && kind != "user" || name == "" || strings.Contains(name, "/") {
		return fault.New(fault.BadParameter, "%q is not the ARN of a role or user without its path", identity)
	}
	sum := sha256.Sum256([]byte(arn.String()))
	at := key(kindPolicy, hex.EncodeToString(sum[:]))
	for {
		record := policyRecord{}
		revision, err := a.loadRecord(ctx, at, &record)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		record.Identity = arn.String()
		if record.Agents == nil {
			record.Agents = make(map[string]policyAgent)
		}
		changed, err := change(&record)
		if err != nil || !changed {
			return err
		}
		if err := a.saveRecord(ctx, at, record, a.Now().Add(policyLife), revision); !errors.Is(err, store.ErrChanged) {
			return err
		}
	}
}

var errNeeds = fault.New(fault.BadParameter, "an agent notes at most %d permissions of an identity, each with an action such as rds-db:connect and an ARN", maxNeeds)

func readPermissions(wire []*sallyportv1.PolicyPermission) ([]policyPermission, error) {
	if len(wire) > maxNeeds {
		return nil, errNeeds
	}
	var all []policyPermission
	for _, one := range wire {
		if len(one.GetAction()) > maxNeed || len(one.GetResource()) > maxNeed || !strings.Contains(one.GetAction(), ":") || !strings.HasPrefix(one.GetResource(), "arn:") {
			return nil, errNeeds
		}
		all = append(all, policyPermission{one.GetAction(), one.GetResource()})
	}
	return all, nil
}

func wirePermissions(all []policyPermission) []*sallyportv1.PolicyPermission {
	var wire []*sallyportv1.PolicyPermission
	for _, one := range all {
		wire = append(wire, &sallyportv1.PolicyPermission{Action: one.Action, Resource: one.Resource})
	}
	return wire
}

// union returns what is in either, sorted, each once.
func union(a, b []policyPermission) []policyPermission {
	all := slices.Concat(a, b)
	slices.SortFunc(all, func(x, y policyPermission) int {
		return strings.Compare(x.Action+" "+x.Resource, y.Action+" "+y.Resource)
	})
	return slices.Compact(all)
}

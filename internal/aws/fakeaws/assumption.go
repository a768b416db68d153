package fakeaws

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport/internal/aws/fakeaws/iam"
	"sallyport/internal/aws/fakeaws/wire"
)

// assumption are the checked parameters of AssumeRole and its sisters.
type assumption struct {
	roleARN, sessionName       string
	externalID, sourceIdentity string
	duration                   time.Duration
	policy                     string
	policyARNs                 []string
	tags                       map[string]string
	transitive                 []string
}

var (
	sessionNamePattern = regexp.MustCompile(`^[\w+=,.@-]*$`)
	externalIDPattern  = regexp.MustCompile(`^[\w+=,.@:/-]*$`)
)

func constraint(value, member, rule string) *wire.Error {
	return wire.Errorf("ValidationError", "1 validation error detected: Value '%s' at '%s' failed to satisfy constraint: %s", value, member, rule)
}

func checkText(value, member string, shortest, longest int, pattern *regexp.Regexp) error {
	switch {
	case len(value) < shortest:
		return constraint(value, member, "Member must have length greater than or equal to "+strconv.Itoa(shortest))
	case len(value) > longest:
		return constraint(value, member, "Member must have length less than or equal to "+strconv.Itoa(longest))
	case pattern != nil && !pattern.MatchString(value):
		return constraint(value, member, "Member must satisfy regular expression pattern: "+strings.Trim(pattern.String(), "^$"))
	}
	return nil
}

// noteAssumption writes what a test may ask for into the journal, before anything is refused.
func (c *Call) noteAssumption() {
	for _, name := range []string{"RoleArn", "RoleSessionName", "ExternalId", "DurationSeconds", "Policy"} {
		if c.Params.Has(name) {
			c.Note(name, c.Params.String(name))
		}
	}
	for _, tag := range c.Params.Tags("Tags") {
		c.Note("Tag:"+tag[0], tag[1])
	}
}

func readAssumption(c *Call) (assumption, error) {
	p := c.Params
	in := assumption{roleARN: p.String("RoleArn"), sessionName: p.String("RoleSessionName"), externalID: p.String("ExternalId"),
		sourceIdentity: p.String("SourceIdentity"), policy: p.String("Policy"), transitive: p.Strings("TransitiveTagKeys"), tags: map[string]string{}}
	for _, one := range p.List("PolicyArns") {
		in.policyARNs = append(in.policyARNs, one.String("arn"))
	}
	if err := checkText(in.roleARN, "roleArn", 20, 2048, nil); err != nil {
		return in, err
	}
	if !strings.HasPrefix(in.roleARN, "arn:") || !strings.Contains(in.roleARN, ":role/") {
		return in, wire.Errorf("ValidationError", "%s is invalid", in.roleARN)
	}
	if err := checkText(in.sessionName, "roleSessionName", 2, 64, sessionNamePattern); err != nil {
		return in, err
	}
	if p.Has("ExternalId") {
		if err := checkText(in.externalID, "externalId", 2, 1224, externalIDPattern); err != nil {
			return in, err
		}
	}
	seconds, err := p.Int("DurationSeconds", 3600)
	if err != nil {
		return in, err
	}
	if seconds < 900 {
		return in, constraint(strconv.Itoa(seconds), "durationSeconds", "Member must have value greater than or equal to 900")
	}
	if seconds > 43200 {
		return in, constraint(strconv.Itoa(seconds), "durationSeconds", "Member must have value less than or equal to 43200")
	}
	in.duration = time.Duration(seconds) * time.Second
	return in, in.readTags(p)
}

func (in *assumption) readTags(p wire.Params) error {
	tags := p.Tags("Tags")
	if len(tags) > 50 {
		return constraint("", "tags", "Member must have length less than or equal to 50")
	}
	for _, tag := range tags {
		if len(tag[0]) == 0 || len(tag[0]) > 128 || len(tag[1]) > 256 {
			return constraint(tag[0], "tags.member.key", "Member must have length between 1 and 128")
		}
		for key := range in.tags {
			if strings.EqualFold(key, tag[0]) {
				return wire.Errorf("InvalidParameterValue", "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
			}
		}
		in.tags[tag[0]] = tag[1]
	}
	return nil
}

// checkDuration holds the session to the role's limit, and a chained one to an hour.
func (in *assumption) checkDuration(role *Role, chained bool) error {
	if chained && in.duration > time.Hour {
		return wire.Errorf("ValidationError", "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.")
	}
	if in.duration > role.MaxDuration {
		return wire.Errorf("ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	}
	return nil
}

// context are the condition keys of an assumption, on a role that may not exist.
func (in *assumption) context(role *Role) iam.Values {
	values := iam.Values{"sts:RoleSessionName": {in.sessionName}, "aws:TagKeys": slices.Sorted(maps.Keys(in.tags))}
	if in.externalID != "" {
		values["sts:ExternalId"] = []string{in.externalID}
	}
	if in.sourceIdentity != "" {
		values["sts:SourceIdentity"] = []string{in.sourceIdentity}
	}
	if len(in.transitive) > 0 {
		values["sts:TransitiveTagKeys"] = in.transitive
	}
	for key, value := range in.tags {
		values["aws:RequestTag/"+key] = []string{value}
	}
	if role != nil {
		values["aws:ResourceAccount"] = []string{role.account.ID}
		for key, value := range role.Tags {
			values["iam:ResourceTag/"+key] = []string{value}
			values["aws:ResourceTag/"+key] = []string{value}
		}
	}
	return values
}

// inheritTags adds the transitive tags of the session that assumes the role to those of the request.
func (in *assumption) inheritTags(from Principal) (tags map[string]string, transitive []string) {
	tags = maps.Clone(in.tags)
	for _, key := range from.transitive {
		tags[key] = from.SessionTags[key] // a request cannot override them
	}
	return tags, append(slices.Clone(from.transitive), in.transitive...)
}

// sessionPolicies reads the policies that limit the session, which belong to the role's account.
func (in *assumption) sessionPolicies(w *World, a *Account) ([]iam.Source, error) {
	var all []iam.Source
	if in.policy != "" {
		if len(in.policy) > 2048 {
			return nil, constraint(in.policy, "policy", "Member must have length less than or equal to 2048")
		}
		parsed, err := iam.Parse(in.policy, iam.Identity)
		if err != nil {
			return nil, wire.Errorf("MalformedPolicyDocument", "%v", err)
		}
		all = append(all, iam.Source{Name: "session policy", Policy: parsed})
	}
	if len(in.policyARNs) > 10 {
		return nil, constraint("", "policyArns", "Member must have length less than or equal to 10")
	}
	for _, arn := range in.policyARNs {
		policy := w.managed(a, arn)
		if policy == nil {
			return nil, wire.StatusErrorf(http.StatusBadRequest, "InvalidParameterValue", "The policy %s does not exist.", arn)
		}
		all = append(all, *policy)
	}
	return all, nil
}

func (in *assumption) answer(issued *credential) wire.Fields {
	answer := wire.Of(
		"Credentials", wire.Of("AccessKeyId", issued.AccessKeyID, "SecretAccessKey", issued.SecretAccessKey,
			"SessionToken", issued.SessionToken, "Expiration", issued.Expires),
		"AssumedRoleUser", wire.Of("AssumedRoleId", issued.principal.UserID(), "Arn", issued.principal.ARN()))
	if in.policy != "" || len(in.policyARNs) > 0 || len(in.tags) > 0 {
		answer = append(answer, wire.Of("PackedPolicySize", 1+len(in.policy)*100/2048)...)
	}
	return answer
}

package resource

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport/internal/aws/endpoint"
	"sallyport/internal/yamlnode"
)

// TokenRule is one set of conditions on an AWS identity; all fields that are set must match.
type TokenRule struct {
	AWSAccount string `json:"aws_account,omitempty"`
	// AWSARN is a pattern for the ARN that STS tells of an identity, for iam. See MatchARN.
	AWSARN     string  `json:"aws_arn,omitempty"`
	AWSRegions Strings `json:"aws_regions,omitempty"` // ec2; empty for all
	// AWSRole is assumed by the authority to ask EC2 whether an instance runs, for ec2. Empty: it asks with its own
	// credentials.
	AWSRole           string `json:"aws_role,omitempty"`
	AWSOrganizationID string `json:"aws_organization_id,omitempty"` // refused: it cannot be checked
}

// defaultIIDTTL is how long after its start an instance may join.
const defaultIIDTTL = 5 * time.Minute

func (s *TokenSpec) checkAllow(p *problems) {
	aws := s.JoinMethod == JoinIAM || s.JoinMethod == JoinEC2
	switch {
	case !aws && len(s.Allow) > 0:
		p.add("spec.allow", "is for the join methods iam and ec2 only")
	case aws && len(s.Allow) == 0:
		p.add("spec.allow", "the join method %s needs at least one rule", s.JoinMethod)
	}
	switch {
	case s.JoinMethod != JoinEC2 && s.AWSIIDTTL != 0:
		p.add("spec.aws_iid_ttl", "is for the join method ec2 only")
	case s.AWSIIDTTL < 0:
		p.add("spec.aws_iid_ttl", "must not be negative")
	case s.JoinMethod == JoinEC2 && s.AWSIIDTTL == 0:
		s.AWSIIDTTL = Duration(defaultIIDTTL)
	}
	for i, rule := range s.Allow {
		rule.check(p, yamlnode.IndexPath("spec.allow", i), s.JoinMethod)
	}
}

func (r TokenRule) check(p *problems, path, method string) {
	switch {
	case r.AWSOrganizationID != "":
		p.add(path+".aws_organization_id", "cannot be checked by this version; write one rule with aws_account for each account of the organization")
	case r.AWSAccount == "":
		p.add(path+".aws_account", "is needed: without it the rule would let in hosts of every account")
	case !endpoint.IsAccount(r.AWSAccount):
		p.add(path+".aws_account", "must be the 12 digits of an account, in quotes")
	}
	if r.AWSARN != "" && method != JoinIAM {
		p.add(path+".aws_arn", "is for the join method iam only")
	} else if r.AWSARN != "" {
		if problem := checkARNPattern(r.AWSARN, r.AWSAccount); problem != "" {
			p.add(path+".aws_arn", "%s", problem)
		}
	}
	if len(r.AWSRegions) > 0 && method != JoinEC2 {
		p.add(path+".aws_regions", "is for the join method ec2 only")
	} else {
		for _, region := range r.AWSRegions {
			if !endpoint.IsRegion(region) {
				p.add(path+".aws_regions", "%q is not a region, as in us-west-2", region)
			}
		}
	}
	if r.AWSRole != "" && method != JoinEC2 {
		p.add(path+".aws_role", "is for the join method ec2 only")
	} else if r.AWSRole != "" {
		role, err := endpoint.ParseRole(r.AWSRole)
		switch {
		case err != nil:
			p.add(path+".aws_role", "%s", err)
		case role.Account != r.AWSAccount:
			p.add(path+".aws_role", "must be a role of account %s, because it is asked for instances there", r.AWSAccount)
		}
	}
}

// checkARNPattern returns what is wrong with a pattern for the ARNs that sts:GetCallerIdentity tells ("GetCallerIdentity"
// in the STS API reference; "IAM identifiers" in the IAM user guide), or "".
func checkARNPattern(pattern, account string) string {
	parts := strings.SplitN(pattern, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" {
		return fmt.Sprintf("%q is not the ARN of an identity, as in arn:aws:sts::%s:assumed-role/agent/*", pattern, account)
	}
	resource := strings.Split(parts[5], "/")
	role := parts[2] == "sts" && resource[0] == "assumed-role"
	switch {
	case parts[2] == "iam" && resource[0] == "role":
		return fmt.Sprintf("AWS tells the session of a role, not the role itself; write arn:%s:sts::%s:assumed-role/%s/*", parts[1], parts[4], resource[len(resource)-1])
	case !slices.Contains(endpoint.Partitions(), parts[1]):
		return fmt.Sprintf("names partition %q; known are %s", parts[1], strings.Join(endpoint.Partitions(), ", "))
	case parts[3] != "" || parts[4] != account:
		return fmt.Sprintf("must be of the rule's account: arn:%s:%s::%s:...", parts[1], parts[2], account)
	case role && len(resource) != 3:
		return "must name a role and a session with a slash between; write assumed-role/NAME/* for all sessions of a role, since * stands for no slash"
	case role, parts[2] == "sts" && resource[0] == "federated-user" && len(resource) == 2,
		parts[2] == "iam" && resource[0] == "user" && len(resource) > 1, parts[2] == "iam" && parts[5] == "root":
		return ""
	}
	return "must be of a session of a role (sts, assumed-role/ROLE/SESSION), of a user (iam, user/NAME), or of the account itself (iam, root)"
}

// MatchARN reports whether a rule lets an ARN in. In aws_arn, * stands for any text and ? for one character, neither of
// them for a colon or a slash, and the pattern matches the whole ARN or not at all.
func (r TokenRule) MatchARN(arn string) bool {
	return r.AWSARN == "" || matchARN(r.AWSARN, arn)
}

func matchARN(pattern, arn string) bool {
	boundary := func(c rune) bool { return c == ':' || c == '/' }
	for {
		p, a := strings.IndexFunc(pattern, boundary), strings.IndexFunc(arn, boundary)
		if p < 0 || a < 0 {
			return p < 0 && a < 0 && matchWildcards(pattern, arn)
		}
		if pattern[p] != arn[a] || !matchWildcards(pattern[:p], arn[:a]) {
			return false
		}
		pattern, arn = pattern[p+1:], arn[a+1:]
	}
}

// matchWildcards only ever returns to the last star, so that it takes at most the product of the lengths.
func matchWildcards(pattern, text string) bool {
	p, i, star, mark := 0, 0, -1, 0
	for i < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == text[i]):
			p, i = p+1, i+1
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

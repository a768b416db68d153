package login

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"sallyport/internal/aws/target"
	"sallyport/internal/cred"
	"sallyport/internal/fault"
)

// whoAmI is the request that a database sends on to AWS, to learn who has signed it (MongoDB specification
// "Authentication", MONGODB-AWS).
const whoAmI = "Action=GetCallerIdentity&Version=2011-06-15"

// documentDB signs as a role, which is the account in the database.
func (s *Source) documentDB(ctx context.Context, t *target.Target, req cred.Request) (*cred.Credential, error) {
	role, isRole, err := s.userRole(ctx, t, req.DatabaseUser)
	if err != nil {
		return nil, err
	}
	if !isRole {
		return nil, fault.New(fault.BadParameter, "accounts of DocumentDB are roles: give the name or the ARN of one, and not %q", req.DatabaseUser)
	}
	cfg, err := s.client(ctx, t.UserChain(role, req.User))
	if err != nil {
		return nil, err
	}
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		return nil, err // said before the database is dialled
	}
	return &cred.Credential{
		User: role, Advice: func(r cred.Refusal) string { return documentDBAdvice(role, r) },
		Prove: func(ctx context.Context, c cred.Challenge) (cred.Proof, error) { return s.prove(ctx, cfg, c) },
	}, nil
}

// stsHost is a host of the Security Token Service: nothing else gets a signed request.
var stsHost = regexp.MustCompile(`^sts(-fips)?(\.[a-z]{2}(-[a-z]+)+-[0-9])?\.amazonaws\.com(\.cn)?$`)

// prove signs the request with the nonce of the database in it, so that it is good for that database only.
func (s *Source) prove(ctx context.Context, cfg aws.Config, c cred.Challenge) (cred.Proof, error) {
	if !stsHost.MatchString(c.Host) {
		return cred.Proof{}, fault.New(fault.ConnectionProblem, "the database asks for a proof for %.100q, which is no host of AWS STS; check that its address leads to DocumentDB", c.Host)
	}
	keys, err := cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return cred.Proof{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+c.Host+"/", strings.NewReader(whoAmI))
	if err != nil {
		return cred.Proof{}, fmt.Errorf("making the request of an identity: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("X-MongoDB-Server-Nonce", base64.StdEncoding.EncodeToString(c.Nonce))
	req.Header.Set("X-MongoDB-GS2-CB-Flag", "n")
	region := "us-east-1"
	if parts := strings.Split(c.Host, "."); parts[1] != "amazonaws" {
		region = parts[1]
	}
	sum := sha256.Sum256([]byte(whoAmI))
	if err := s.signer.SignHTTP(ctx, keys, req, hex.EncodeToString(sum[:]), "sts", region, s.cfg.Now().UTC()); err != nil {
		return cred.Proof{}, fmt.Errorf("signing the request of an identity: %w", err)
	}
	return cred.Proof{Authorization: req.Header.Get("Authorization"), Date: req.Header.Get("X-Amz-Date"), Token: req.Header.Get("X-Amz-Security-Token")}, nil
}

// documentDBAdvice says what to do when DocumentDB does not let a role in.
func documentDBAdvice(role string, r cred.Refusal) string {
	switch {
	case strings.Contains(strings.ToLower(r.Message), "mechanism"): // "Unsupported mechanism [ -301 ]"
		return "DocumentDB takes roles from version 5.0 on; update the cluster"
	case r.Code == "18", r.Code == "11": // AuthenticationFailed, UserNotFound
		return fmt.Sprintf("make the account in DocumentDB 5.0 or later: "+
			`db.getSiblingDB("$external").runCommand({createUser: %q, mechanisms: ["MONGODB-AWS"], roles: [{role: "readWrite", db: "..."}]}); and check the clock of the agent`, role)
	case r.Code == "2", r.Code == "59", r.Code == "334": // BadValue, CommandNotFound, MechanismUnavailable
		return "DocumentDB takes roles from version 5.0 on; update the cluster, and check that TLS is switched on in its parameter group"
	}
	return ""
}

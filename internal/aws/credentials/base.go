package credentials

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
)

const (
	// DefaultRegion is the one of clients when neither the database nor the environment names one.
	DefaultRegion = "us-east-1"

	imdsTimeout    = time.Second
	imdsAttempts   = 2
	dialTimeout    = 5 * time.Second
	answerTimeout  = 10 * time.Second
	credentialLife = 15 * time.Minute // of credentials that do not say how long they live; files may change
)

// load reads environment and files and returns the SDK's default chain: environment, web identity, shared
// files with AWS_PROFILE, container credentials, instance metadata (AWS SDKs and Tools Reference Guide,
// "Standardized credential providers").
func (p *Provider) load(ctx context.Context) (aws.Config, error) {
	options := []func(*config.LoadOptions) error{
		config.WithDefaultRegion(DefaultRegion),
		config.WithHTTPClient(p.cfg.HTTPClient),
	}
	if p.cfg.FIPS {
		options = append(options, config.WithUseFIPSEndpoint(aws.FIPSEndpointStateEnabled))
	}
	// The client of the instance metadata needs the settings that are being loaded, so they are loaded twice;
	// nothing is asked of the network.
	settings, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return aws.Config{}, err
	}
	options = append(options, config.WithEC2RoleCredentialOptions(func(o *ec2rolecreds.Options) {
		o.Client = imds.NewFromConfig(settings, instanceMetadata)
	}))
	return config.LoadDefaultConfig(ctx, options...)
}

// defaultClient gives up sooner than the SDK's own.
func defaultClient() aws.HTTPClient {
	return awshttp.NewBuildableClient().
		WithDialerOptions(func(d *net.Dialer) { d.Timeout = dialTimeout }).
		WithTransportOptions(func(t *http.Transport) { t.ResponseHeaderTimeout = answerTimeout })
}

// instanceMetadata speaks version 2 of the protocol only: version 1 answers whoever makes the process send a
// GET. It uses no proxy and follows no redirect, and gives up soon, because where there is no such service
// nothing answers.
func instanceMetadata(o *imds.Options) {
	o.EnableFallback = aws.FalseTernary
	o.Retryer = retry.NewStandard(func(r *retry.StandardOptions) { r.MaxAttempts = imdsAttempts })
	o.HTTPClient = &http.Client{
		Timeout:       imdsTimeout,
		Transport:     &http.Transport{DialContext: (&net.Dialer{Timeout: imdsTimeout}).DialContext, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// retrieveBase returns the credentials of the process itself. Environment and files are read every time, so
// that credentials that were replaced there are seen.
func (p *Provider) retrieveBase(ctx context.Context) (aws.Credentials, time.Time, error) {
	cfg, err := p.load(ctx)
	if err != nil {
		return aws.Credentials{}, time.Time{}, &baseError{err}
	}
	creds, err := cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return aws.Credentials{}, time.Time{}, &baseError{err}
	}
	expires := p.cfg.Now().Add(credentialLife)
	if creds.CanExpire && creds.Expires.Before(expires) {
		expires = creds.Expires
	}
	return creds, expires, nil
}

// baseError is a failure to get credentials from the default chain.
type baseError struct{ err error }

func (e *baseError) Error() string { return "loading the default credentials: " + e.err.Error() }
func (e *baseError) Unwrap() error { return e.err }

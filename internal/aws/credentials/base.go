package credentials

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/smithy-go/logging"
)

const (
	// DefaultRegion is the one of clients when neither the database nor the environment names one.
	DefaultRegion = "us-east-1"

	imdsTimeout   = time.Second
	imdsAttempts  = 2
	dialTimeout   = 5 * time.Second
	answerTimeout = 10 * time.Second
	settingsLife  = 10 * time.Minute // of what environment and files say, and of credentials without an end
)

// load reads environment and files and returns the SDK's default chain: environment, web identity, shared
// files with AWS_PROFILE, container credentials, instance metadata (AWS SDKs and Tools Reference Guide,
// "Standardized credential providers").
func (p *Provider) load(ctx context.Context) (aws.Config, error) {
	options := []func(*config.LoadOptions) error{
		config.WithDefaultRegion(DefaultRegion),
		config.WithHTTPClient(p.cfg.HTTPClient),
		config.WithLogger(logging.LoggerFunc(p.log)),
	}
	if p.cfg.FIPS {
		options = append(options, config.WithUseFIPSEndpoint(aws.FIPSEndpointStateEnabled))
	}
	// The client of the instance metadata needs the settings that are being loaded.
	metadata := &metadataClient{}
	options = append(options, config.WithEC2RoleCredentialOptions(func(o *ec2rolecreds.Options) { o.Client = metadata }))
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	metadata.settings = cfg
	return cfg, err
}

// FIPS reports whether calls go to endpoints that are validated by FIPS 140: because the Config says so, or the environment
// (AWS_USE_FIPS_ENDPOINT, use_fips_endpoint of the profile). Errors are explained.
func (p *Provider) FIPS(ctx context.Context) (bool, error) {
	cfg, err := p.settings(ctx)
	if err != nil {
		return false, Explain(err)
	}
	for _, source := range cfg.ConfigSources {
		says, ok := source.(interface {
			GetUseFIPSEndpoint(context.Context) (aws.FIPSEndpointState, bool, error)
		})
		if !ok {
			continue
		}
		if state, found, err := says.GetUseFIPSEndpoint(ctx); err != nil || found {
			return state == aws.FIPSEndpointStateEnabled, Explain(err)
		}
	}
	return false, nil
}

// log takes what the SDK would write to the error output. It concerns connections that are tried again.
func (p *Provider) log(_ logging.Classification, format string, args ...any) {
	p.cfg.Logger.Debug("the SDK of AWS says something", "message", fmt.Sprintf(format, args...))
}

// metadataClient makes its client when it is used first.
type metadataClient struct {
	settings aws.Config // set before the first use
	once     sync.Once
	client   *imds.Client
}

// GetMetadata implements ec2rolecreds.GetMetadataAPIClient.
func (m *metadataClient) GetMetadata(ctx context.Context, in *imds.GetMetadataInput, options ...func(*imds.Options)) (*imds.GetMetadataOutput, error) {
	m.once.Do(func() { m.client = imds.NewFromConfig(m.settings, instanceMetadata) })
	return m.client.GetMetadata(ctx, in, options...)
}

// Metadata returns a client of the instance metadata, for what is no credential. Errors are explained.
func (p *Provider) Metadata(ctx context.Context) (*imds.Client, error) {
	cfg, err := p.settings(ctx)
	if err != nil {
		return nil, Explain(err)
	}
	return imds.NewFromConfig(cfg, instanceMetadata), nil
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

// settings returns what environment and files say. They are read again from time to time, so that credentials
// that were replaced there are seen.
func (p *Provider) settings(ctx context.Context) (aws.Config, error) {
	cfg, err := p.configs.Get(ctx, "", func(ctx context.Context) (aws.Config, time.Time, error) {
		cfg, err := p.load(ctx)
		return cfg, p.cfg.Now().Add(settingsLife), err
	})
	if err != nil {
		return aws.Config{}, &baseError{err}
	}
	return cfg, nil
}

// retrieveBase returns the credentials of the process itself.
func (p *Provider) retrieveBase(ctx context.Context) (aws.Credentials, time.Time, error) {
	cfg, err := p.settings(ctx)
	if err != nil {
		return aws.Credentials{}, time.Time{}, err
	}
	if kept, ok := cfg.Credentials.(*aws.CredentialsCache); ok {
		kept.Invalidate() // they are kept here, and are wanted anew
	}
	creds, err := cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return aws.Credentials{}, time.Time{}, &baseError{err}
	}
	expires := p.cfg.Now().Add(settingsLife)
	if creds.CanExpire && creds.Expires.Before(expires) {
		expires = creds.Expires
	}
	return creds, expires, nil
}

// baseError is a failure to get credentials from the default chain.
type baseError struct{ err error }

func (e *baseError) Error() string { return "loading the default credentials: " + e.err.Error() }
func (e *baseError) Unwrap() error { return e.err }

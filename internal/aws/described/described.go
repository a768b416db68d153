// Package described turns what the APIs of AWS say of a database into ids, labels and tags, alike for whoever asks about
// one database and for whoever looks for all of them.
package described

import (
	"github.com/aws/aws-sdk-go-v2/aws"

	"sallyport/internal/aws/target"
	"sallyport/internal/resource"
)

// Database is what AWS says of one database.
type Database struct {
	ARN    string            // says account and region
	AWS    resource.AWS      // ids and settings; neither region nor account
	Labels map[string]string // some may be empty
	Tags   map[string]string // nil where AWS does not tell them together with the rest
}

// Address joins what AWS tells apart. It is "" for a database that has no address yet.
func Address(host *string, port int32) string {
	if aws.ToString(host) == "" {
		return ""
	}
	return target.Join(*host, port)
}

// TagsOf makes a map of a list of tags.
func TagsOf[T any](list []T, tag func(T) (key, value *string)) map[string]string {
	tags := make(map[string]string, len(list))
	for _, one := range list {
		key, value := tag(one)
		tags[aws.ToString(key)] = aws.ToString(value)
	}
	return tags
}

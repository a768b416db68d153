package roots

import (
	"sallyport/internal/aws/endpoint"
)

// source is where a bundle is downloaded from.
type source struct {
	name string // of its file, without the ending; safe in paths because regions are checked
	url  string
}

// sourceOf returns the bundle that certificates of a kind of database come from; false for those whose
// certificates are of authorities that systems trust.
func sourceOf(t endpoint.Type, region string) (source, bool) {
	china := endpoint.PartitionOf(region) == endpoint.PartitionChina
	switch t {
	case endpoint.RDS, endpoint.DocumentDB:
		return rds(region), true
	case endpoint.Redshift, endpoint.RedshiftServerless:
		// Amazon Redshift management guide, "Connecting using SSL".
		if china {
			return source{"redshift-cn", "https://s3.cn-north-1.amazonaws.com.cn/redshift-downloads-cn/amazon-trust-ca-bundle.crt"}, true
		}
		return source{"redshift", "https://s3.amazonaws.com/redshift-downloads/amazon-trust-ca-bundle.crt"}, true
	case endpoint.ElastiCache, endpoint.ElastiCacheServerless, endpoint.MemoryDB, endpoint.DynamoDB:
		return source{"amazon-root-ca-1", "https://www.amazontrust.com/repository/AmazonRootCA1.pem"}, true
	case endpoint.Keyspaces:
		return source{"starfield-class-2", "https://certs.secureserver.net/repository/sf-class2-root.crt"}, true
	default: // RDS Proxy and OpenSearch have certificates of ACM
		return source{}, false
	}
}

// rds is from "Using SSL/TLS to encrypt a connection to a DB instance" in the RDS user guide.
func rds(region string) source {
	base := "https://truststore.pki.rds.amazonaws.com/"
	switch endpoint.PartitionOf(region) {
	case endpoint.PartitionGov:
		base = "https://truststore.pki.us-gov-west-1.rds.amazonaws.com/"
	case endpoint.PartitionChina:
		base = "https://rds-truststore.s3.cn-north-1.amazonaws.com.cn/"
	}
	return source{"rds-" + region, base + region + "/" + region + "-bundle.pem"}
}

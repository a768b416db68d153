package endpoint

import "strings"

// redshift reads "Connecting to an Amazon Redshift cluster" of the Redshift management guide.
func redshift(n name) (Endpoint, bool, error) {
	before, region, ok := n.byRegion("redshift")
	if !ok {
		return Endpoint{}, false, nil
	}
	if len(before) != 2 || !isHash(before[1]) {
		return Endpoint{}, true, n.malformed(Redshift)
	}
	return Endpoint{Type: Redshift, Region: region, ClusterID: before[0]}, true, nil
}

// redshiftServerless reads "Connecting to Amazon Redshift Serverless" of the Redshift management guide.
func redshiftServerless(n name) (Endpoint, bool, error) {
	before, region, ok := n.byRegion("redshift-serverless")
	if !ok {
		return Endpoint{}, false, nil
	}
	if len(before) != 2 || !isDigits(before[1], accountDigits) {
		return Endpoint{}, true, n.malformed(RedshiftServerless)
	}
	e := Endpoint{Type: RedshiftServerless, Region: region, Account: before[1]}
	if id, hash, ok := strings.Cut(before[0], "-endpoint-"); ok && id != "" && hash != "" {
		e.Kind, e.VPCEndpoint = KindVPCEndpoint, id
	} else {
		e.Kind, e.Workgroup = KindWorkgroup, before[0]
	}
	return e, true, nil
}

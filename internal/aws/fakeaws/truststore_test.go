package fakeaws_test

import (
	"bytes"
	"io"
	"net/http"
	"testing"
)

func TestTrustStore(t *testing.T) {
	world, client, _ := realNames(t)
	for path, status := range map[string]int{
		"truststore.pki.rds.amazonaws.com/us-west-1/us-west-1-bundle.pem":                http.StatusOK,
		"truststore.pki.rds.amazonaws.com/us-west-1/us-west-2-bundle.pem":                http.StatusNotFound,
		"truststore.pki.rds.amazonaws.com/":                                              http.StatusNotFound,
		"truststore.pki.rds.amazonaws.com/redshift-downloads/amazon-trust-ca-bundle.crt": http.StatusNotFound,
		"s3.amazonaws.com/redshift-downloads/amazon-trust-ca-bundle.crt":                 http.StatusOK,
		"www.amazontrust.com/repository/AmazonRootCA1.pem":                               http.StatusOK,
		"www.amazontrust.com/repository/AmazonRootCA2.pem":                               http.StatusNotFound,
		"s3.amazonaws.com/us-west-1/us-west-1-bundle.pem":                                http.StatusNotFound,
	} {
		answer, err := client.Get("https://" + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != status {
			t.Errorf("%s: %s, %v", path, answer.Status, err)
		}
		if found := bytes.Equal(body, world.Authority().PEM()); found != (status == http.StatusOK) {
			t.Errorf("%s: got %q", path, body)
		}
	}
}

package clustertest_test

import (
	"testing"

	"sallyport/internal/clustertest"
)

// TestTwoAgentsOfOneDataDirectoryAreToldSo: they are one host, of which one process at a time is connected.
func TestTwoAgentsOfOneDataDirectoryAreToldSo(t *testing.T) {
	t.Parallel()
	s := &scene{Cluster: clustertest.Start(t, clustertest.Options{})}
	s.pg = startPostgres(t, s.Cluster)
	first := agentAt(t, s, 0)
	logs(t, first, "joined the cluster")
	again := *first.Config
	clustertest.StartDaemon(t, &again)
	logs(t, first, "another process has connected as this host", "give it a data_dir of its own")
}

package clustertest_test

import (
	"testing"

	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/clustertest"
	"sallyport/internal/resource"
)

// TestTwoAgentsOfOneDataDirectoryAreToldSo: they are one host, of which one process at a time is connected. The one that stays
// is served by all the time.
func TestTwoAgentsOfOneDataDirectoryAreToldSo(t *testing.T) {
	t.Parallel()
	s := &scene{Cluster: clustertest.Start(t, clustertest.Options{})}
	s.pg = startPostgres(t, s.Cluster)
	first := agentAt(t, s, 0)
	logs(t, first, "joined the cluster")
	again := *first.Config
	second := clustertest.StartDaemon(t, &again)
	for _, daemon := range []*clustertest.Daemon{first, second} {
		logs(t, daemon, "another process has connected as this host", "give it a data_dir of its own")
	}
	second.Stop(t)
	for _, kind := range []string{resource.KindDatabaseServer, resource.KindDatabaseService} {
		res, err := s.Admin.Resources.ListResources(t.Context(), &sallyportv1.ListResourcesRequest{Kind: kind})
		if err != nil || len(res.GetResources()) != 1 {
			t.Errorf("when the second has ended there are %d of %s, %v", len(res.GetResources()), kind, err)
		}
	}
	logs(t, first, "connected to the proxy again")
}

package finder

import (
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// statuses are the states of one kind of thing, in lower case: those in which it can be connected to, and those in which
// not.
type statuses struct{ available, unavailable []string }

// The states, from "Viewing DB instance status", "Viewing DB cluster status" and "Viewing an RDS Proxy" in the RDS user
// guides, "Cluster status" in the Redshift management guide, and the API references of the other services.
var (
	instanceStates = statuses{
		available: []string{"available", "backing-up", "configuring-enhanced-monitoring", "configuring-iam-database-auth", "configuring-log-exports",
			"converting-to-vpc", "incompatible-option-group", "incompatible-parameters", "maintenance", "modifying", "moving-to-vpc", "rebooting",
			"resetting-master-credentials", "renaming", "restore-error", "storage-full", "storage-optimization", "upgrading"},
		unavailable: []string{"creating", "deleting", "failed", "inaccessible-encryption-credentials", "inaccessible-encryption-credentials-recoverable",
			"incompatible-network", "incompatible-restore", "starting", "stopped", "stopping", "insufficient-capacity"},
	}
	clusterStates = statuses{
		available: []string{"active", "available", "backing-up", "backtracking", "failing-over", "maintenance", "migrating", "modifying", "promoting",
			"renaming", "resetting-master-credentials", "update-iam-db-auth", "upgrading"},
		unavailable: []string{"cloning-failed", "creating", "deleting", "inaccessible-encryption-credentials", "migration-failed", "starting", "stopped", "stopping"},
	}
	proxyStates = statuses{
		available:   []string{"available", "modifying", "reactivating"},
		unavailable: []string{"creating", "deleting", "incompatible-network", "insufficient-resource-limits", "suspended", "suspending"},
	}
	redshiftStates = statuses{
		available: []string{"available", "available, prep-for-resize", "available, resize-cleanup", "cancelling-resize", "final-snapshot", "modifying",
			"rebooting", "renaming", "resizing", "rotating-keys", "storage-full", "updating-hsm", "incompatible-parameters", "incompatible-hsm"},
		unavailable: []string{"creating", "deleting", "hardware-failure", "paused", "incompatible-network"},
	}
	otherStates = statuses{
		available:   []string{"available", "modifying", "snapshotting", "active"},
		unavailable: []string{"creating", "deleting", "create-failed"},
	}
)

// available reports whether something can be connected to. States that AWS has added since count as such.
func (l *look) available(id *string, status string, states statuses) bool {
	status = strings.ToLower(status)
	switch {
	case slices.Contains(states.available, status):
		return true
	case slices.Contains(states.unavailable, status):
		l.skip(id, "it is not available", "status", status)
		return false
	default:
		l.log.Warn("database is in a state that is not known; it is taken for available", "id", aws.ToString(id), "status", status)
		return true
	}
}

// atLeast compares a version of numbers and dots. Versions of another form are not.
func atLeast(version string, least ...int) bool {
	parts := strings.Split(version, ".")
	for i, want := range least {
		got := 0
		if i < len(parts) {
			var err error
			if got, err = strconv.Atoi(parts[i]); err != nil {
				return false
			}
		}
		if got != want {
			return got > want
		}
	}
	return true
}

package integration

import (
	"syscall"
	"time"
)

// processExperiments are the faults of processes: workers, Temporal's server,
// disks and clocks.
func processExperiments() []experiment {
	all := []experiment{
		workersKilled(),
		cutOffFromTemporal(),
		temporalKilled(),
		continuedAsNewEverywhere(17),
		continuedAsNewEverywhere(23),
		continuedAsNewEverywhere(30),
		archiveRefuses("read-only", "The archive's file system is read-only for a while (EROFS).", syscall.EROFS),
		archiveRefuses("full", "The archive's file system is full for a while (ENOSPC).", syscall.ENOSPC),
		archiveFailsAtRandom(),
		clockOff("the worker", 10*time.Minute),
		clockOff("the worker", -10*time.Minute),
		clockOff("KSeF", 10*time.Minute),
		clockOff("KSeF", -10*time.Minute),
		transmitTerminated(),
		sessionTerminated(),
		rollingRestart(),
		ksefAway(),
	}
	if canFreeze {
		all = append(all, frozenBeforeKSeF(), frozenBeforeTeamogy())
	}
	return all
}

package integration

// processExperiments are the faults of processes: workers, Temporal's server,
// disks and clocks.
func processExperiments() []experiment {
	return []experiment{workersKilled(), frozenBeforeKSeF(), frozenBeforeTeamogy()}
}

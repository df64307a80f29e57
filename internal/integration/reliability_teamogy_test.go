package integration

func teamogyExperiments() []experiment { return nil }

package ksefsim

import "fmt"

// Values of Config.Environment.
const (
	EnvironmentTest       = "test"
	EnvironmentDemo       = "demo"
	EnvironmentProduction = "production"
)

// checkEnvironment applies the default and refuses what does not exist.
func checkEnvironment(name string) (string, error) {
	switch name {
	case "":
		return EnvironmentTest, nil
	case EnvironmentTest, EnvironmentDemo, EnvironmentProduction:
		return name, nil
	}
	return "", fmt.Errorf("ksefsim: Environment %q: must be %q, %q or %q", name, EnvironmentTest, EnvironmentDemo, EnvironmentProduction)
}

// test says whether this is the TEST environment: self-made certificates,
// /testdata and FA(2).
func (s *Simulator) test() bool { return s.cfg.Environment == EnvironmentTest }

// receiver is what a UPO calls the ministry: TEST and DEMO say which they are.
func (s *Simulator) receiver() string {
	switch s.cfg.Environment {
	case EnvironmentTest:
		return "Ministerstwo Finansów - środowisko testowe (TE)"
	case EnvironmentDemo:
		return "Ministerstwo Finansów - środowisko przedprodukcyjne (TR)"
	}
	return "Ministerstwo Finansów"
}

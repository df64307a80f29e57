// Package architecture holds the tests that keep imports pointing one way: from
// worker and cli over workflows and activities to the packages that know the
// outside world. depguard says the same while one writes a file; the
// tests here look at what is really linked in, however indirectly.
package architecture

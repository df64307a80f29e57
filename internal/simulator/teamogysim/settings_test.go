package teamogysim

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// switched changes settings of a running simulator.
func (s *site) switched(change fields) {
	s.t.Helper()
	s.ok("POST", "/_sim/settings", change)
}

func (s *site) setting(name string) string {
	s.t.Helper()
	text, err := json.Marshal(s.ok("GET", "/_sim/settings", nil)[name])
	require.NoError(s.t, err)
	return string(text)
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return string(text)
}

func TestSettings_haveANameForEachSwitchAndAllPositionsWork(t *testing.T) {
	s := start(t, func(c *Config) { c.RequestsPerMinute = 60 })
	s.ok("POST", "/_sim/settings", fields{"requestsPerMinute": 60})
	listed := s.ok("GET", "/_sim/settings/names", nil)["settings"].([]any)
	assert.Len(t, listed, len(fieldNames(&settings{})), "each field is a switch")
	for i, info := range switchInfos() {
		assert.Equal(t, info.Name, listed[i].(fields)["name"])
		assert.Equal(t, asJSON(t, info.Default), s.setting(info.Name), "default of %s", info.Name)
		assert.NotEmpty(t, info.StandsFor)
		assert.True(t, len(info.Positions) > 1 || info.Form != "", info.Name)
		for _, position := range info.Positions {
			s.switched(fields{info.Name: position})
			assert.Equal(t, asJSON(t, position), s.setting(info.Name))

			c := DefaultConfig()
			if field := fieldOf(reflect.ValueOf(&c).Elem(), info.Name); field.IsValid() {
				field.Set(reflect.ValueOf(position))
				set := New(c).settings
				assert.Equal(t, position, fieldOf(reflect.ValueOf(set).Elem(), info.Name).Interface(), "%s by Config", info.Name)
			}
		}
	}
}

func TestSettings_refuseAWrongPositionAndSayWhatIsAllowed(t *testing.T) {
	s := start(t, nil)
	for change, want := range map[string]string{
		`{"saveAnswer":"xml"}`:                      `saveAnswer \"xml\": want object, registration, data, id, entity or empty`,
		`{"refusalStatus":418}`:                     "want 400, 409, 422 or 500",
		`{"companyRequired":"yes"}`:                 "companyRequired",
		`{"allowedIps":["all"]}`:                    "such as 10.0.0.0/8",
		`{"knownProperties":{"ksefNumber":"blob"}}`: "any, text, number",
		`{"columnNames":{"number":""}}`:             "docNumber",
		`{"registrationKey":""}`:                    "vatId",
		`{"newDelaySeconds":-1}`:                    "0 or more",
		`{"answerLimitBytes":-1}`:                   "1 or more",
		`{"patchReplace":true}`:                     `there is no \"patchReplace\"; there are requestsPerMinute`,
		`[]`:                                        "not a valid object",
	} {
		r := s.do("POST", "/_sim/settings", change)
		assert.Equal(t, 400, r.status, change)
		assert.Contains(t, string(r.body), want, change)
	}
}

func TestSettings_changeOnlyWhatIsNamedAndListsAsAWhole(t *testing.T) {
	s := start(t, func(c *Config) {
		c.KnownProperties = map[string]string{"a": "text", "b": "text"}
		c.AbsentViews = []string{"units", "users"}
	})
	s.switched(fields{"patchReplaces": true})
	assert.JSONEq(t, `{"a":"text","b":"text"}`, s.setting("knownProperties"))
	assert.JSONEq(t, `["units","users"]`, s.setting("absentViews"))
	s.switched(fields{"knownProperties": fields{"c": "any"}, "absentViews": []string{"users"}})
	assert.JSONEq(t, `{"c":"any"}`, s.setting("knownProperties"))
	assert.JSONEq(t, `["users"]`, s.setting("absentViews"))
	s.switched(fields{"absentViews": []string{}})
	assert.JSONEq(t, `[]`, s.setting("absentViews"))
	s.ok("POST", "/_sim/reset", nil)
	assert.JSONEq(t, `{"a":"text","b":"text"}`, s.setting("knownProperties"))
	assert.JSONEq(t, `["units","users"]`, s.setting("absentViews"))
}

func TestPageOfTheSimulator_namesEverySwitchAndFault(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "teamogy-simulator.md"))
	require.NoError(t, err)
	page := string(data)
	for _, info := range switchInfos() {
		_, row, found := strings.Cut(page, "\n| `"+info.Name+"` |")
		if !assert.True(t, found, "no row for %s", info.Name) {
			continue
		}
		row, _, _ = strings.Cut(row, "\n")
		for _, position := range info.Positions {
			assert.Contains(t, row, fmt.Sprintf("`%v`", position), info.Name)
		}
	}
	for _, kind := range faultKinds {
		assert.Contains(t, page, "\n| `"+kind.Name+"`")
		for _, alias := range kind.Aliases {
			assert.Contains(t, page, "`"+alias+"`")
		}
	}
}

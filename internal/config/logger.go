package config

import (
	"fmt"
	"io"
	"log/slog"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/exp/zapslog"
	"go.uber.org/zap/zapcore"
)

// levels are the values of LOG_LEVEL.
var levels = map[string]zapcore.Level{
	"debug": zapcore.DebugLevel,
	"info":  zapcore.InfoLevel,
	"warn":  zapcore.WarnLevel,
	"error": zapcore.ErrorLevel,
}

// NewLogger returns the process's logger, which writes to w: lines for people (LOG_FORMAT=console) or JSON.
// Times are UTC. Errors have a stack trace in JSON; nothing below an error ever has one.
//
// Log through it, not through zap: only slog asks secret types for what they may show (slog.LogValuer).
func NewLogger(c Config, w io.Writer) (*slog.Logger, error) {
	level, ok := levels[c.LogLevel]
	if !ok {
		return nil, fmt.Errorf("LOG_LEVEL: %q is none of debug, info, warn, error", c.LogLevel)
	}
	encoding := zap.NewProductionEncoderConfig()
	encoding.TimeKey = "time"
	encoding.EncodeTime = utcTime
	encoding.EncodeDuration = zapcore.StringDurationEncoder
	var encoder zapcore.Encoder
	stackAt := slog.LevelError
	switch c.LogFormat {
	case "json":
		encoder = zapcore.NewJSONEncoder(encoding)
	case "console":
		encoding.EncodeLevel = zapcore.CapitalLevelEncoder
		encoding.ConsoleSeparator = "  "
		encoder = zapcore.NewConsoleEncoder(encoding)
		stackAt = slog.Level(100) // never: a person reads the message
	default:
		return nil, fmt.Errorf("LOG_FORMAT: %q is none of console, json", c.LogFormat)
	}
	core := zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(w)), level)
	return slog.New(zapslog.NewHandler(core, zapslog.AddStacktraceAt(stackAt))), nil
}

// utcTime writes times of the log as 2026-11-22T13:38:06.123Z.
func utcTime(t time.Time, encoder zapcore.PrimitiveArrayEncoder) {
	encoder.AppendString(t.UTC().Format("2006-01-02T15:04:05.000Z07:00"))
}

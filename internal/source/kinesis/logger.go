package kinesis

import (
	"fmt"

	"github.com/vmware/vmware-go-kcl-v2/logger"
	"go.uber.org/zap"
)

// kclLogger takes what KCL has to say. That is debugging output here: whatever
// matters is logged by the parts that KCL is given, and much of what it calls an
// error is a shard that ends as it should. Nothing that it logs ends the process.
type kclLogger struct{ log *zap.Logger }

func (l kclLogger) Debugf(string, ...any) {} // one line for every page

func (l kclLogger) Infof(format string, args ...any)  { l.debug("info", format, args) }
func (l kclLogger) Warnf(format string, args ...any)  { l.debug("warn", format, args) }
func (l kclLogger) Errorf(format string, args ...any) { l.debug("error", format, args) }

func (l kclLogger) Fatalf(format string, args ...any) {
	l.log.Error("KCL gave up", zap.String("message", fmt.Sprintf(format, args...)))
}

func (l kclLogger) Panicf(format string, args ...any) { l.Fatalf(format, args...) }

func (l kclLogger) WithFields(fields logger.Fields) logger.Logger {
	return kclLogger{l.log.With(zap.Any("fields", map[string]any(fields)))}
}

func (l kclLogger) debug(level, format string, args []any) {
	if e := l.log.Check(zap.DebugLevel, "KCL"); e != nil {
		e.Write(zap.String("kcl_level", level), zap.String("message", fmt.Sprintf(format, args...)))
	}
}

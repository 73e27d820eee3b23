"""The log lines that the core of Temporal's SDK writes itself, without Python's logging."""

from dataclasses import replace
from typing import Final

from temporalio.runtime import LoggingConfig, LoggingFormat, Runtime, TelemetryConfig

from core.telemetry.log_lines import LogFormat

_FORMATS: Final = {"text": LoggingFormat.COMPACT, "json": LoggingFormat.JSON}


def sdk_logging(log_format: LogFormat) -> LoggingConfig:
    """Warnings and errors, in JSON if the other lines of the process are."""
    return replace(LoggingConfig.default, format=_FORMATS[log_format])


def logging_runtime(log_format: LogFormat) -> Runtime | None:
    """A runtime for the clients of a process without measures of the SDK.

    None if the SDK's default runtime serves, because each runtime has threads of its own.
    """
    if log_format == "text":
        return None
    return Runtime(telemetry=TelemetryConfig(logging=sdk_logging(log_format)))

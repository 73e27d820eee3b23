"""Formats log lines as text, or as one JSON object per line."""

import logging
import sys
from datetime import UTC, datetime
from typing import Final, Literal

from core import json_codec
from core.telemetry import log_ids, tracing

LogFormat = Literal["text", "json"]

_NOISY: Final = ("httpx", "httpcore", "aiosqlite", "LiteLLM", "asyncio")
_WORK: Final = ("workflow_id", "activity_type", "attempt")


class JsonLogFormatter(logging.Formatter):
    """Writes only the fields below: other fields, which libraries attach to a record, may quote
    anything.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= log_ids.known() | tracing.current_ids() | _temporal_work(record)
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json_codec.dumps(line)


class TextLogFormatter(logging.Formatter):
    """Begins the message with the request id, if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        request = log_ids.request_id.get()
        record.request = f" [{request}]" if request else ":"
        return super().format(record)


def configure(level: str, log_format: LogFormat = "text", *, force: bool = True) -> None:
    """Logs to standard error. Temporal and LiteLLM log only warnings and errors.

    Without `force`, a process that already has a handler keeps it.
    """
    # Turned off, because its lines would contain query strings.
    access = logging.getLogger("uvicorn.access")
    access.handlers.clear()
    access.propagate = False
    if log_format == "json":
        # The server writes its own lines as text.
        server = logging.getLogger("uvicorn")
        server.handlers.clear()
        server.propagate = True
    for noisy in _NOISY:
        logging.getLogger(noisy).setLevel(logging.WARNING)
    if logging.getLogger().handlers and not force:
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonLogFormatter()
        if log_format == "json"
        else TextLogFormatter("%(asctime)s %(levelname)s %(name)s%(request)s %(message)s")
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)


def _temporal_work(record: logging.LogRecord) -> dict[str, object]:
    """The fields that Temporal's loggers attach about the workflow or activity that logs."""
    for name in ("temporal_activity", "temporal_workflow"):
        about = getattr(record, name, None)
        if isinstance(about, dict):
            return {key: about[key] for key in _WORK if key in about}
    return {}

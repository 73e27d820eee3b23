"""Formats log lines as text, or as one JSON object per line."""

import copy
import logging
import re
import sys
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Literal

from core import json_codec
from core.telemetry import error_text, log_ids, tracing

LogFormat = Literal["text", "json"]

_NOISY: Final = ("httpx", "httpcore", "aiosqlite", "LiteLLM", "asyncio")
_OURS: Final = ("assay", "activities", "api", "core", "evals", "workflows")
_WORK: Final = ("workflow_id", "activity_type", "attempt")
_RUN: Final = re.compile(r"eval-run-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:-batch-\d+)?")
"""The workflow of a run, or one of its batches."""

_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class _ErrorFormatter(logging.Formatter):
    """Writes the stacks of errors without texts that may quote a trace."""

    def formatException(self, ei: _ExcInfo) -> str:  # noqa: N802 - named by Python
        return error_text.stack_of(ei[1]) if ei[1] is not None else ""


class JsonLogFormatter(_ErrorFormatter):
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


class TextLogFormatter(_ErrorFormatter):
    """Begins the message with the request id, if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        line = copy.copy(record)
        # Another handler may have stored the error here, with all its texts.
        line.exc_text = None
        request = log_ids.request_id.get()
        line.request = f" [{request}]" if request else ":"
        return super().format(line)


def configure(level: str, log_format: LogFormat = "text", *, force: bool = True) -> None:
    """Logs to standard error. LiteLLM and the HTTP clients log only warnings and errors.

    At DEBUG, libraries still log at INFO: their DEBUG lines contain what they send and receive.
    Without `force`, a process that already has a handler keeps it.
    """
    # Turned off, because its lines would contain query strings.
    access = logging.getLogger("uvicorn.access")
    access.handlers.clear()
    access.propagate = False
    # The server would write its own lines in another format, and the texts of all errors.
    server = logging.getLogger("uvicorn")
    server.handlers.clear()
    server.propagate = True
    for noisy in _NOISY:
        logging.getLogger(noisy).setLevel(logging.WARNING)
    for ours in _OURS:
        logging.getLogger(ours).setLevel(logging.DEBUG if level == "DEBUG" else logging.NOTSET)
    if logging.getLogger().handlers and not force:
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonLogFormatter()
        if log_format == "json"
        else TextLogFormatter("%(asctime)s %(levelname)s %(name)s%(request)s %(message)s")
    )
    root_level = "INFO" if level == "DEBUG" else level
    logging.basicConfig(level=root_level, handlers=[handler], force=True)


def _temporal_work(record: logging.LogRecord) -> dict[str, object]:
    """The fields that Temporal's loggers attach about the workflow or activity that logs."""
    for name in ("temporal_activity", "temporal_workflow"):
        about = getattr(record, name, None)
        if isinstance(about, dict):
            run = _RUN.fullmatch(str(about.get("workflow_id", "")))
            found = {key: about[key] for key in _WORK if key in about}
            return found | ({"run_id": run[1]} if run else {})
    return {}

import json
import logging
import sys

import pytest

from core.telemetry import log_ids
from core.telemetry.log_lines import JsonLogFormatter, TextLogFormatter


def record(message: str, *values: object, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("assay.worker", logging.INFO, "file.py", 1, message, values, None)
    made.__dict__.update(extra)
    return made


def as_json(one: logging.LogRecord) -> dict[str, object]:
    text = JsonLogFormatter().format(one)
    assert "\n" not in text
    found: dict[str, object] = json.loads(text)
    return found


def test_a_line_carries_the_ids_that_are_known_and_no_others() -> None:
    with log_ids.scope(request_id="a", run_id="b"):
        log_ids.put(trace_id="c")
        line = as_json(record("%s of %d", "one", 2))
        assert line["message"] == "one of 2"
        assert (line["level"], line["logger"]) == ("INFO", "assay.worker")
        assert {name: line[name] for name in ("request_id", "run_id", "trace_id")} == {
            "request_id": "a",
            "run_id": "b",
            "trace_id": "c",
        }
        assert "project_id" not in line
    assert "run_id" not in as_json(record("later"))


def test_ids_end_with_their_scope() -> None:
    with log_ids.scope(run_id="outer"):
        with log_ids.scope():
            log_ids.put(run_id="inner", trace_id="inner")
        assert log_ids.known() == {"run_id": "outer"}
    assert log_ids.known() == {}


def test_what_a_library_attaches_stays_out_except_where_temporal_works() -> None:
    work = {"workflow_id": "eval-run-1", "attempt": 2, "input": "the trace"}
    line = as_json(record("Failed", color_message="quoted", temporal_activity=work))
    assert (line["workflow_id"], line["attempt"]) == ("eval-run-1", 2)
    assert "quoted" not in line.values()
    assert "input" not in line


def test_an_error_is_one_line_with_its_stack() -> None:
    one = record("Unexpected error")
    try:
        raise LookupError("nothing")
    except LookupError:
        one.exc_info = sys.exc_info()
    assert "LookupError: nothing" in str(as_json(one)["error"])


@pytest.mark.parametrize(("request_id", "begin"), [("mine", " [mine] hi"), (None, ": hi")])
def test_text_names_the_request_if_there_is_one(request_id: str | None, begin: str) -> None:
    lines = TextLogFormatter("%(name)s%(request)s %(message)s")
    if request_id is None:
        assert lines.format(record("hi")) == f"assay.worker{begin}"
    else:
        with log_ids.scope(request_id=request_id):
            assert lines.format(record("hi")) == f"assay.worker{begin}"

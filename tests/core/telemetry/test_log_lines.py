import json
import logging
import sys
from collections.abc import Iterator
from uuid import uuid4

import pytest
from sqlalchemy.exc import IntegrityError

from core.telemetry import log_ids, log_lines
from core.telemetry.log_lines import JsonLogFormatter, LogFormat, TextLogFormatter
from core.temporal.client import batch_workflow_id, run_workflow_id


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
        raise RuntimeError("nothing")
    except RuntimeError:
        one.exc_info = sys.exc_info()
    written = str(as_json(one)["error"])
    assert "RuntimeError: nothing" in written
    assert 'raise RuntimeError("nothing")' in written


@pytest.mark.parametrize("formatter", [JsonLogFormatter(), TextLogFormatter("%(message)s")])
def test_an_error_that_may_quote_a_trace_is_told_without_its_text(
    formatter: logging.Formatter,
) -> None:
    one = record("Unexpected error")
    row = "DETAIL: Failing row contains (the trace)"
    try:
        try:
            dict[str, str]()["the" + " trace"]
        except KeyError as error:
            raise IntegrityError("INSERT", {}, Exception(row)) from error
    except IntegrityError:
        one.exc_info = sys.exc_info()
    written = formatter.format(one)
    assert "the trace" not in written
    assert "KeyError (text left out" in written
    assert "IntegrityError of Exception (text left out" in written
    assert "test_log_lines.py" in written


def test_a_line_of_temporal_about_a_run_has_the_id_of_the_run() -> None:
    run_id = uuid4()
    for workflow_id in (run_workflow_id(run_id), batch_workflow_id(run_id, 7)):
        line = as_json(record("Failed", temporal_workflow={"workflow_id": workflow_id}))
        assert line["run_id"] == str(run_id)
    other = as_json(record("Failed", temporal_workflow={"workflow_id": f"eval-monitor-{run_id}"}))
    assert "run_id" not in other


@pytest.fixture
def loggers() -> Iterator[None]:
    """Restores what `configure` changes."""
    root = logging.getLogger()
    names = (None, *log_lines._OURS, *log_lines._NOISY, "uvicorn")
    handlers, levels = root.handlers[:], [logging.getLogger(name).level for name in names]
    root.handlers.clear()
    yield
    root.handlers[:] = handlers
    for name, level in zip(names, levels, strict=True):
        logging.getLogger(name).setLevel(level)


def test_at_debug_no_library_writes_what_it_sends(loggers: None) -> None:
    log_lines.configure("DEBUG")
    assert logging.getLogger("activities.pairs").isEnabledFor(logging.DEBUG)
    assert logging.getLogger("assay.worker").isEnabledFor(logging.DEBUG)
    for library in ("openai._base_client", "botocore.auth", "urllib3", "LiteLLM Router"):
        assert not logging.getLogger(library).isEnabledFor(logging.DEBUG), library
    log_lines.configure("WARNING")
    assert not logging.getLogger("activities.pairs").isEnabledFor(logging.INFO)


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_the_server_writes_its_lines_like_all_others(
    loggers: None, log_format: LogFormat, capsys: pytest.CaptureFixture[str]
) -> None:
    server = logging.getLogger("uvicorn")
    server.addHandler(own := logging.StreamHandler(sys.stderr))
    server.propagate = False
    log_lines.configure("INFO", log_format)
    logging.getLogger("uvicorn.error").error("Exception", exc_info=KeyError("the trace"))
    written = capsys.readouterr().err
    assert own not in server.handlers
    assert "uvicorn.error" in written
    assert "the trace" not in written


@pytest.mark.parametrize("ours", [TextLogFormatter(), JsonLogFormatter()], ids=["text", "json"])
def test_what_another_handler_wrote_of_an_error_is_not_repeated(ours: logging.Formatter) -> None:
    error = KeyError("the trace")
    failed = logging.LogRecord(
        "worker", logging.ERROR, "", 0, "Failed", (), (KeyError, error, None)
    )
    assert "the trace" in logging.Formatter().format(failed)
    assert "the trace" not in ours.format(failed)


@pytest.mark.parametrize(("request_id", "begin"), [("mine", " [mine] hi"), (None, ": hi")])
def test_text_names_the_request_if_there_is_one(request_id: str | None, begin: str) -> None:
    lines = TextLogFormatter("%(name)s%(request)s %(message)s")
    if request_id is None:
        assert lines.format(record("hi")) == f"assay.worker{begin}"
    else:
        with log_ids.scope(request_id=request_id):
            assert lines.format(record("hi")) == f"assay.worker{begin}"

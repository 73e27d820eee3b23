"""tests/e2e/test_telemetry.py reads the lines of a real worker."""

from temporalio.runtime import LoggingConfig, LoggingFormat

from core.telemetry.sdk_logging import logging_runtime, sdk_logging


def test_the_lines_of_the_sdk_have_the_format_of_all_others() -> None:
    assert sdk_logging("json").format is LoggingFormat.JSON
    assert sdk_logging("text").format is LoggingFormat.COMPACT
    assert sdk_logging("json").filter == LoggingConfig.default.filter


def test_only_another_format_needs_a_runtime_of_its_own() -> None:
    assert logging_runtime("text") is None
    assert logging_runtime("json") is not None

"""Every regular expression takes linear time for any text."""

import importlib
import pkgutil
import re
import time
from collections.abc import Iterator

import pytest

PACKAGES = ("core", "evals", "activities", "workflows", "api")
SKIPPED = ("core.migrations.env", "core.migrations.__main__")
SMALL = 1_000
UNITS = [
    *("\n", " ", "a", "1", "1. ", "- ", "<", "</", "[", "(", '"', "\\", "a ", "a.", "_", "*", "#"),
    *(
        "<a>",
        "<!--",
        "{}",
        "[]",
        "\n\n ",
        " \n",
        "\r\n",
        "'",
        "`",
        "://",
        "a@",
        "é",
        "0x",
        "=",
        ":",
    ),
    *("- a\n", "1) a\n", "user: ", "```\n", "sk-", "Error: ", "&amp;", "\\n", "\t"),
]
BOUNDED = 0.008
"""Seconds; a shorter time shows nothing about the growth."""

SHORT = {
    *("evals.judges.fault_parsing._PAGE", "evals.judges.tolerant_json._NUMBER"),
    *("evals.transcript.tool_calls._ERROR_TEXT", "evals.transcript.tool_names._SUFFIX"),
    *("evals.transcript.tool_shapes._ANSWER_TYPE", "evals.judges.near_json._THOUGHTS_BEGIN"),
    *("evals.judges.redaction._KEYS", "evals.transcript.tool_names._GENERIC"),
    "evals.trace.argument_correctness._IDENTIFIER",
}
"""Patterns that take quadratic time in a search.

The code never searches with them: it matches them at one place, or in a short or truncated text.
"""


def modules() -> Iterator[str]:
    for package in PACKAGES:
        found = importlib.import_module(package)
        for one in pkgutil.walk_packages(found.__path__, f"{package}."):
            if one.name not in SKIPPED and ".versions" not in one.name:
                yield one.name


def patterns() -> dict[str, re.Pattern[str]]:
    """Every pattern in a module, alone or within a list, tuple or mapping."""
    found: dict[str, re.Pattern[str]] = {}
    for name in modules():
        if "litellm" in name or name.endswith((".clients", "cli.pytest_plugin")):
            continue
        for attribute, value in vars(importlib.import_module(name)).items():
            for number, one in enumerate(_within(value)):
                found[f"{name}.{attribute}[{number}]"] = one
    return found


def _within(value: object) -> Iterator[re.Pattern[str]]:
    if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
        yield value
    elif isinstance(value, list | tuple | set | frozenset):
        for one in value:
            yield from _within(one)
    elif isinstance(value, dict):
        for one in value.values():
            yield from _within(one)


def seconds(pattern: re.Pattern[str], text: str) -> float:
    """The shortest of three measurements in processor time, over all matches."""
    times = []
    for _ in range(3):
        began = time.process_time()
        pattern.sub("", text)
        times.append(time.process_time() - began)
        if times[-1] < BOUNDED:
            break
    return min(times)


def test_every_pattern_takes_linear_time() -> None:
    known = {pattern.pattern: (name, pattern) for name, pattern in patterns().items()}
    assert len(known) > 30
    slow = []
    for name, pattern in known.values():
        if name.partition("[")[0] in SHORT:
            continue
        for unit in UNITS:
            text = "x" + unit * (4 * SMALL // len(unit)) + "y"
            if (large := seconds(pattern, text)) < BOUNDED:
                continue
            small = seconds(pattern, text[: len(text) // 4])
            # Four times the text: linear is 4, quadratic 16.
            if large > 9 * max(small, 1e-4):
                slow.append(f"{name} on {unit!r}: {small:.4f} s, {large:.4f} s")
    assert slow == []


@pytest.mark.parametrize("pattern", [r"^\s*\d+\.", r"\s+$", r"(a+)+b"])
def test_a_quadratic_pattern_would_be_found(pattern: str) -> None:
    compiled = re.compile(pattern, re.MULTILINE)
    texts = ["\n" * 4_000 + "y", " " * 4_000 + "y", "a" * 20]
    times = [(seconds(compiled, text[: len(text) // 4]), seconds(compiled, text)) for text in texts]
    assert any(large > 9 * max(small, 1e-5) for small, large in times)

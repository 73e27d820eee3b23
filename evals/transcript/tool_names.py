"""Derives the name of a tool from the name of its span."""

import re
from collections.abc import Mapping

_PREFIX = re.compile(
    r"(?:(?:running|execut\w+|call\w*|invok\w+|us(?:e|ing)|run)[ _.-]*)?"
    r"(?:ai\.)?(?:mcp[ ._/:-]+)?(?:function|tool)s?(?:[ _]?(?:call|use|execution))?"
    r"(?:\s*[:./]\s*|\s+)(?:call\s+)?(?P<name>\S.*)",
    re.IGNORECASE,
)
_SUFFIX = re.compile(
    r"(?P<name>\S+?)(?:\.(?:tool|run|call|invoke|execute)| \(?tool\)?)", re.IGNORECASE
)
_GENERIC = re.compile(
    r"(?:ai\.)?(?:(?:running|execut\w+|call\w*|invok\w+)[ _.-]*)?(?:\d+ )?(?:function|tool)s?"
    r"(?:[ _.-]?(?:call|use|run|execution|invocation)s?)?",
    re.IGNORECASE,
)
_LAST_WORD = re.compile(r"[\w-]+$")
_MAX_NAME = 500


def tool_name(span_name: str, known: Mapping[str, str]) -> str:
    """The tool in the name of a span; empty if the name only states that the span is a tool.

    `known` has the tools that models requested or had on offer, by lower-case name. A known name is
    not shortened.
    """
    name = span_name.strip()[:_MAX_NAME]
    if name.lower() in known:
        return known[name.lower()]
    bare = _bare(name)
    if bare.lower() in known:
        return known[bare.lower()]
    last = _LAST_WORD.search(name)
    if last is not None and last[0].lower() in known:
        return known[last[0].lower()]
    return bare


def _bare(name: str) -> str:
    if _GENERIC.fullmatch(name):
        return ""
    for pattern in (_PREFIX, _SUFFIX):
        found = pattern.fullmatch(name)
        if found is not None:
            name = found["name"].strip()
    return name.strip("'\"`")

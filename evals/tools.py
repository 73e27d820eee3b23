"""The tools an agent had on offer, as its model calls or its metadata list them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from pydantic import JsonValue

from core.ids import SpanKind
from core.records import Trace
from evals.compact import decoded, one_line

_KEYS = ("tools", "available_tools", "functions", "tool_definitions", "gen_ai.tool.definitions")
_NAME_LENGTH = 120
_ABOUT_LENGTH = 300
_PARAMETERS = 40


class Parameter(NamedTuple):
    name: str
    type: str
    required: bool

    def __str__(self) -> str:
        return f"{self.name}{'' if self.required else '?'}: {self.type}"


@dataclass(frozen=True, slots=True)
class Tool:
    """`parameters` is empty both for a tool that takes none and for one whose are not recorded."""

    name: str
    about: str
    parameters: tuple[Parameter, ...]

    def __str__(self) -> str:
        line = f"{self.name}({', '.join(map(str, self.parameters))})"
        return f"{line}: {self.about}" if self.about else line


def tools_on_offer(trace: Trace) -> tuple[Tool, ...]:
    """Each tool once, in the order first offered."""
    found: dict[str, Tool] = {}
    seen: list[JsonValue] = []
    for listing in _listings(trace):
        # A model call per step offers the same tools each time.
        if listing in seen[-2:]:
            continue
        seen.append(listing)
        for tool in _read(listing):
            found.setdefault(tool.name, tool)
    return tuple(found.values())


def _listings(trace: Trace) -> list[JsonValue]:
    sources: list[Mapping[str, JsonValue]] = [trace.metadata]
    for span in trace.spans:
        if span.kind is SpanKind.LLM and isinstance(span.input, dict):
            sources.append(span.input)
        if span.kind in (SpanKind.LLM, SpanKind.AGENT):
            sources.append(span.metadata)
    return [source[key] for source in sources for key in _KEYS if source and source.get(key)]


def _read(listing: JsonValue) -> list[Tool]:
    value = decoded(listing)
    if isinstance(value, dict):
        if "name" not in value and "function" not in value:
            return [
                Tool(one_line(name, _NAME_LENGTH), _about(about), ())
                for name, about in value.items()
            ]
        value = [value]
    if not isinstance(value, list):
        return []
    return [tool for tool in map(_tool, value) if tool is not None]


def _tool(entry: JsonValue) -> Tool | None:
    entry = decoded(entry)
    if isinstance(entry, str):
        return Tool(one_line(entry, _NAME_LENGTH), "", ()) if entry.strip() else None
    if not isinstance(entry, dict):
        return None
    inner = entry.get("function")
    body = inner if isinstance(inner, dict) else entry
    name = body.get("name")
    if not isinstance(name, str) or not name.strip():
        return None
    schema = next(
        (body[key] for key in ("parameters", "input_schema", "inputSchema") if key in body), None
    )
    return Tool(one_line(name, _NAME_LENGTH), _about(body.get("description")), _parameters(schema))


def _about(value: JsonValue) -> str:
    return one_line(value, _ABOUT_LENGTH) if isinstance(value, str) else ""


def _parameters(schema: JsonValue) -> tuple[Parameter, ...]:
    schema = decoded(schema)
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(schema, dict) or not isinstance(properties, dict):
        return ()
    required = schema.get("required")
    needed = required if isinstance(required, list) else []
    return tuple(
        Parameter(one_line(name, 60), _type(about), name in needed)
        for name, about in list(properties.items())[:_PARAMETERS]
    )


def _type(about: JsonValue) -> str:
    if not isinstance(about, dict):
        return "any"
    choices = about.get("enum")
    if isinstance(choices, list) and choices:
        return one_line("|".join(str(choice) for choice in choices[:12]), 120)
    kind = about.get("type")
    return one_line(kind, 40) if isinstance(kind, str) else "any"

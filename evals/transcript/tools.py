"""Reads the tools on offer, in all shapes in which model calls and metadata list them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from pydantic import JsonValue

from core.ids import SpanKind
from core.trace_model import Trace
from core.truncation import one_line
from evals.transcript.compact_json import decoded

_KEYS = (
    "tools", "available_tools", "functions", "tool_definitions", "gen_ai.tool.definitions",
    "gen_ai.request.tools", "gen_ai.agent.tools", "llm.tools", "ai.prompt.tools", "agent.tools",
    "function_declarations", "functionDeclarations", "function_tools", "builtin_tools",
)  # fmt: skip
# Keys of a request under which the list of tools may be nested.
_HOLDERS = (
    "toolConfig", "tool_config", "config", "parameters", "kwargs", "invocation_params", "request",
    "model_request_parameters", "generation_config", "llm.invocation_parameters", "llm_request",
    "model_parameters", "options", "body",
)  # fmt: skip
_BODIES = ("function", "toolSpec", "tool_spec", "tool", "json_schema", "tool.json_schema")
_SCHEMAS = (
    "parameters", "input_schema", "inputSchema", "parametersJsonSchema", "parameters_json_schema",
    "args_schema", "jsonSchema", "schema", "args",
)  # fmt: skip
_GROUPS = ("function_declarations", "functionDeclarations")
_NO_TOOLS = frozenset(("cachePoint", "cache_control"))
_MAX_NAME = 120
_MAX_DESCRIPTION = 300
_MAX_PARAMETERS = 40
_MAX_TOOLS = 1_000
_MAX_DEPTH = 4


class Parameter(NamedTuple):
    name: str
    type: str
    required: bool

    def __str__(self) -> str:
        return f"{self.name}{'' if self.required else '?'}: {self.type}"


@dataclass(frozen=True, slots=True)
class Tool:
    """`parameters` is empty for a tool without parameters, and for a tool without recorded
    parameters.
    """

    name: str
    about: str
    parameters: tuple[Parameter, ...]

    def __str__(self) -> str:
        line = f"{self.name}({', '.join(map(str, self.parameters))})"
        return f"{line}: {self.about}" if self.about else line


def tools_on_offer(trace: Trace) -> tuple[Tool, ...]:
    """Each tool once, in order of its first offer."""
    tools: dict[str, Tool] = {}
    seen: list[JsonValue] = []
    for listing in _listings(trace):
        # The model calls of a trace mostly offer the same tools.
        if listing in seen[-2:]:
            continue
        seen.append(listing)
        for tool in _read(listing):
            tools.setdefault(tool.name, tool)
    return tuple(tools.values())


def _listings(trace: Trace) -> Iterator[JsonValue]:
    yield from _listed(trace.metadata, 0)
    for span in trace.spans:
        if span.kind is SpanKind.LLM:
            yield from _listed(decoded(span.input), 0)
            yield from _listed_by_servers(span.output)
        if span.kind is not SpanKind.TOOL:
            yield from _listed(span.metadata, 0)


def _listed(source: JsonValue, depth: int) -> Iterator[JsonValue]:
    if not isinstance(source, dict) or depth > _MAX_DEPTH:
        return
    for key in _KEYS:
        if source.get(key):
            yield source[key]
    for key in _HOLDERS:
        if source.get(key):
            yield from _listed(decoded(source[key]), depth + 1)


def _listed_by_servers(output: JsonValue) -> Iterator[JsonValue]:
    """Tools of MCP servers that OpenAI's Responses API lists in an answer."""
    items = output.get("output") if isinstance(output, dict) else output
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict) and item.get("type") == "mcp_list_tools":
            yield item.get("tools")


def _read(listing: JsonValue, depth: int = 0) -> list[Tool]:
    value = decoded(listing)
    if depth > _MAX_DEPTH:
        return []
    if isinstance(value, dict):
        group = next((value[key] for key in (*_GROUPS, "tools") if value.get(key)), None)
        if group is not None:
            return _read(group, depth + 1)
        if not _describes_one(value):
            return _named(value)
        value = [value]
    if not isinstance(value, list):
        return []
    return [tool for entry in value[:_MAX_TOOLS] for tool in _tools_of(decoded(entry), depth)]


def _describes_one(value: Mapping[str, JsonValue]) -> bool:
    return any(key in value for key in ("name", "type", *_BODIES))


def _named(tools: Mapping[str, JsonValue]) -> list[Tool]:
    """Reads a mapping of names to descriptions or definitions."""
    return [
        Tool(one_line(name, _MAX_NAME), _about(about), _parameters(_schema(about)))
        for name, about in tools.items()
        if name not in _NO_TOOLS
    ]


def _tools_of(entry: JsonValue, depth: int) -> list[Tool]:
    if isinstance(entry, str):
        return [Tool(one_line(entry, _MAX_NAME), "", ())] if entry.strip() else []
    if isinstance(entry, list):
        return _read(entry, depth + 1)
    if not isinstance(entry, dict):
        return []
    if any(entry.get(key) for key in _GROUPS):
        return _read(entry, depth + 1)
    body: JsonValue = next(
        (inner for key in _BODIES if isinstance(inner := decoded(entry.get(key)), dict)), entry
    )
    if isinstance(body, dict) and isinstance(body.get("function"), dict):
        body = body["function"]
    if not isinstance(body, dict):
        return []
    name = _tool_name(body)
    if name is not None:
        return [Tool(one_line(name, _MAX_NAME), _about(body), _parameters(_schema(body)))]
    # Tools that the provider runs itself, such as {"googleSearch": {}}.
    provided = all(isinstance(inner, dict) for inner in entry.values())
    return _named(entry) if provided and "function" not in entry else []


def _tool_name(body: Mapping[str, JsonValue]) -> str | None:
    for key in ("name", "tool_name", "toolName"):
        name = body.get(key)
        if isinstance(name, str) and name.strip():
            return name.strip()
    kind = body.get("type")
    if not isinstance(kind, str) or kind in ("function", "object", "custom", ""):
        return None
    label = body.get("server_label")
    return f"{kind} {label}" if isinstance(label, str) else kind


def _schema(body: JsonValue) -> JsonValue:
    if not isinstance(body, dict):
        return None
    schema = next((decoded(body[key]) for key in _SCHEMAS if body.get(key)), None)
    if isinstance(schema, dict) and "properties" not in schema:
        inner = schema.get("json") or schema.get("jsonSchema")
        return decoded(inner) if inner else schema
    return schema


def _about(value: JsonValue) -> str:
    text = value.get("description") if isinstance(value, dict) else value
    return one_line(text, _MAX_DESCRIPTION) if isinstance(text, str) else ""


def _parameters(schema: JsonValue) -> tuple[Parameter, ...]:
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(schema, dict) or not isinstance(properties, dict):
        return ()
    required = schema.get("required")
    needed = required if isinstance(required, list) else []
    return tuple(
        Parameter(one_line(name, 60), _type(about), name in needed)
        for name, about in list(properties.items())[:_MAX_PARAMETERS]
    )


def _type(about: JsonValue) -> str:
    if not isinstance(about, dict):
        return "any"
    choices = about.get("enum")
    if isinstance(choices, list) and choices:
        return one_line("|".join(str(choice) for choice in choices[:12]), 120)
    kind = about.get("type")
    if isinstance(kind, list):
        kind = "|".join(str(one) for one in kind if one != "null")
    return one_line(kind.lower(), 40) if isinstance(kind, str) else "any"

"""Items of OpenAI's Responses API that are not messages: calls, outputs and reasoning.

The provider executes some calls itself (web search, code interpreter, MCP, …). Such an item is both
the request and, with its outcome, the answer.
"""

from collections.abc import Mapping
from typing import NamedTuple

from pydantic import JsonValue

from evals.transcript.compact_json import compact, decoded_arguments
from evals.transcript.message_parts import text_of
from evals.transcript.tool_shapes import ToolAnswer, ToolCallRequest, answer_of, id_of, name_of

_BOOKKEEPING = frozenset((
    "type", "id", "call_id", "status", "name", "server_label", "error", "output", "outputs",
    "results", "result", "result_summary", "namespace", "container_id", "created_by",
    "approval_request_id", "pending_safety_checks", "environment", "max_output_length", "phase",
    "caller",
))  # fmt: skip
_SKIPPED = frozenset(("mcp_list_tools", "item_reference", "compaction"))
# Calls that the agent's own process executes; their answers are separate items.
_CLIENT_CALLS = frozenset((
    "function_call", "custom_tool_call", "computer_call", "local_shell_call", "shell_call",
    "apply_patch_call",
))  # fmt: skip
_FAILED = frozenset(("failed", "incomplete", "error"))


class ProviderItem(NamedTuple):
    thought: str = ""
    request: ToolCallRequest | None = None
    answer: ToolAnswer | None = None


def is_item(value: Mapping[str, JsonValue]) -> bool:
    kind = value.get("type")
    if not isinstance(kind, str) or "role" in value:
        return False
    if kind == "reasoning":
        return True
    if kind in _SKIPPED or kind == "mcp_approval_request":
        return True
    if kind.endswith("_call_output"):
        return True
    return kind.endswith("_call") and kind not in ("tool_call", "server_tool_call")


def read_item(value: Mapping[str, JsonValue]) -> ProviderItem:
    """Reads an item of the Responses API."""
    kind = str(value["type"])
    if kind in _SKIPPED:
        return ProviderItem()
    if kind == "reasoning":
        thought = next(
            (text for key in ("summary", "content", "text") if (text := text_of(value.get(key)))),
            "",
        )
        return ProviderItem(thought=thought)
    if kind.endswith("_call_output"):
        return ProviderItem(answer=answer_of(value))
    name = name_of(value) or kind.removesuffix("_call").removesuffix("_request")
    request = ToolCallRequest(name, _arguments(value), id_of(value))
    if kind in _CLIENT_CALLS or kind == "mcp_approval_request":
        return ProviderItem(request=request)
    return ProviderItem(request=request, answer=_outcome(value, name))


def _arguments(value: Mapping[str, JsonValue]) -> JsonValue:
    for key in ("arguments", "input"):
        if value.get(key) is not None:
            return decoded_arguments(value[key])
    rest: dict[str, JsonValue] = {
        key: inner
        for key, inner in value.items()
        if key not in _BOOKKEEPING and inner not in (None, "", [], {})
    }
    lone = next(iter(rest.values())) if len(rest) == 1 else None
    if isinstance(lone, dict):
        return lone
    return rest or None


def _outcome(value: Mapping[str, JsonValue], name: str) -> ToolAnswer:
    error = value.get("error")
    if error:
        return ToolAnswer(compact(error), name, id_of(value), failed=True)
    found = next(
        (value[key] for key in ("output", "outputs", "results", "result") if value.get(key)), None
    )
    text = text_of(found) if isinstance(found, list) else compact(found)
    return ToolAnswer(text, name, id_of(value), failed=value.get("status") in _FAILED)

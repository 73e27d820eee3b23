"""A stored trace with its spans as a tree."""

from typing import Any, Final

from rich.text import Text
from rich.tree import Tree

from api.cli import screens
from core import json_codec
from core.truncation import truncate

Json = dict[str, Any]

_MAX_SHOWN: Final = 400
_SIDES: Final = ("input", "output")


def trace_tree(trace: Json) -> Tree:
    """A trace and its spans, each below its parent."""
    head = f"{trace['name']}  {trace['status']}  {trace['total_tokens']} tokens"
    tree = Tree(_line(f"{head}  {trace['started_at']}"))
    for side in _SIDES:
        if trace[side] is not None:
            tree.add(_line(f"{side}: {_shown(trace[side])}"))
    nodes: dict[str, Tree] = {}
    waiting = list(trace["spans"])
    known = {span["span_id"] for span in waiting}
    while waiting:
        placed = [
            span
            for span in waiting
            if span["parent_span_id"] in nodes or span["parent_span_id"] not in known
        ]
        # In a cycle of parents, the first span is shown at the top.
        for span in placed or waiting[:1]:
            parent = nodes.get(span["parent_span_id"], tree)
            nodes[span["span_id"]] = _span_node(parent, span)
            waiting.remove(span)
    return tree


def _span_node(parent: Tree, span: Json) -> Tree:
    node = parent.add(_line(f"{span['kind']}  {span['name']}  {span['status']}"))
    for side in (*_SIDES, "error"):
        if span[side] is not None:
            node.add(_line(f"{side}: {_shown(span[side])}"))
    return node


def _line(untrusted: str) -> Text:
    return Text(screens.without_controls(untrusted))


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json_codec.dumps(value)
    return truncate(text, _MAX_SHOWN)

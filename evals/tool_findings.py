"""Shared parts of the metrics about tool calls."""

from collections.abc import Sequence
from dataclasses import replace

from core.truncation import truncate
from evals.findings import Finding
from evals.transcript.facts import Facts
from evals.transcript.tool_calls import ToolCall

_MAX_NAMED = 3


def no_tools(facts: Facts) -> str | None:
    if facts.calls or facts.tools:
        return None
    return "The trace shows no tool call and no tool on offer."


def about_call(call: ToolCall, finding: Finding) -> Finding:
    """The finding with the name of the call, and with the call's own step before the evidence."""
    steps = [*dict.fromkeys([call.step, *finding.steps])]
    details = {"tool": truncate(call.name, 120), **finding.details}
    return replace(finding, steps=steps, details=details)


def reason_of(figure: str, faults: Sequence[Finding]) -> str:
    """The reason text: the figure, then the first few faults with their steps."""
    listed = [f"{figure}."]
    for fault in faults[:_MAX_NAMED]:
        steps = "".join(f"[{step}] " for step in fault.steps[:4])
        tool = fault.details.get("tool")
        named = f"{truncate(str(tool), 80)}, " if tool else ""
        listed.append(f"{steps}{named}{fault.verdict}: {truncate(fault.text, 300)}")
    if len(faults) > _MAX_NAMED:
        listed.append(f"And {len(faults) - _MAX_NAMED} more.")
    return " ".join(listed)

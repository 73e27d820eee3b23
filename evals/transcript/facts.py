"""Facts about a trace that code counts, so that no judge must count."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from core.ids import SpanKind, SpanStatus, TraceStatus
from core.trace_model import Span, Trace
from evals.transcript.call_evidence import CallEvidences
from evals.transcript.call_matching import match_calls
from evals.transcript.compact_json import compact
from evals.transcript.messages import Message
from evals.transcript.numbering import MessageStep, Numbering, Slot, number_steps
from evals.transcript.plain_text import plain_text
from evals.transcript.span_tree import Parents, parents_of
from evals.transcript.tool_calls import ToolCall
from evals.transcript.tools import Tool, tools_on_offer
from evals.transcript.turns import Turn, read_turns

__all__ = ["Facts", "plain_text"]

_UNFINISHED = frozenset((TraceStatus.PENDING, TraceStatus.RUNNING))


@dataclass(frozen=True)
class Facts:
    """Counted facts about one trace. Each is computed at its first use and kept."""

    trace: Trace

    def prepare(self) -> None:
        for name, fact in vars(Facts).items():
            if isinstance(fact, cached_property):
                getattr(self, name)

    @cached_property
    def turns(self) -> Mapping[int, Turn]:
        """What each model span adds to the conversation, by the span's index."""
        return read_turns(self.trace, self.parents)

    @cached_property
    def parents(self) -> Parents:
        return parents_of(self.trace.spans)

    @cached_property
    def evidences(self) -> CallEvidences:
        offered = [tool.name for tool in self.tools]
        own = plain_text(self.trace.input)
        return match_calls(self.trace.spans, self.parents, self.turns, own, offered)

    @cached_property
    def numbering(self) -> Numbering:
        return number_steps(self.trace, self.parents, self.turns, self.evidences)

    @cached_property
    def calls(self) -> tuple[ToolCall, ...]:
        """Every tool call of this trace once, in order, with or without its own span."""
        return tuple(call for call in self.numbering.calls if not call.earlier)

    @cached_property
    def texts(self) -> tuple[tuple[str, ...], ...]:
        """The texts of each step, in order, except for results of tool calls."""
        return tuple(map(self._texts_of, self.numbering.slots))

    def _texts_of(self, slot: Slot) -> tuple[str, ...]:
        if slot.kind == MessageStep.INPUT:
            return (compact(self.trace.input),)
        said = tuple(message.text for message in slot.messages)
        if slot.place is None or not slot.own or slot.call is not None or said:
            return said
        span = self.trace.spans[slot.place]
        return (compact(span.input), compact(span.output))

    @cached_property
    def tools(self) -> tuple[Tool, ...]:
        """The recorded tools on offer."""
        return tools_on_offer(self.trace)

    @cached_property
    def repeated_calls(self) -> tuple[ToolCall, ...]:
        """Calls that repeat an earlier call with the same arguments."""
        seen: set[tuple[str, bytes]] = set()
        repeated: list[ToolCall] = []
        for call in self.calls:
            same = (call.name, call.key)
            if same in seen:
                repeated.append(call)
            seen.add(same)
        return tuple(repeated)

    @cached_property
    def repeats(self) -> tuple[tuple[str, int], ...]:
        """Tools that were called more than once with the same arguments, and how often."""
        counts = Counter((call.name, call.key) for call in self.calls)
        return tuple((name, count) for (name, _), count in counts.items() if count > 1)

    @property
    def wasted_calls(self) -> int:
        return len(self.repeated_calls)

    @cached_property
    def failed_calls(self) -> tuple[ToolCall, ...]:
        return tuple(call for call in self.calls if call.error is not None)

    @cached_property
    def failed_spans(self) -> tuple[Span, ...]:
        """Steps that ended in an error, including tool calls."""
        return tuple(
            span
            for span in self.trace.spans
            if span.status is SpanStatus.ERROR or (span.error and span.error.strip())
        )

    @cached_property
    def messages(self) -> tuple[Message, ...]:
        """Messages of the user and the assistant, each once, oldest first."""
        said = [
            message
            for turn in self.turns.values()
            for message in (*(turn.heard or ()), *(turn.said or ()))
            if message.role in ("user", "assistant") and message.text
        ]
        texts = {message.text for message in said}
        asked, answered = plain_text(self.trace.input), plain_text(self.trace.output)
        if asked and not any(message.role == "user" for message in said):
            said.insert(0, Message("user", asked))
        if answered and answered not in texts:
            said.append(Message("assistant", answered))
        return tuple(said)

    @cached_property
    def request(self) -> str:
        """The first user message, else the trace's input."""
        return next((m.text for m in self.messages if m.role == "user"), "")

    @cached_property
    def answer(self) -> str:
        """The trace's output, else the agent's last message."""
        output = plain_text(self.trace.output)
        if output:
            return output
        return next((m.text for m in reversed(self.messages) if m.role == "assistant"), "")

    @cached_property
    def replies(self) -> tuple[str, ...]:
        return tuple(m.text for m in self.messages if m.role == "assistant")

    @cached_property
    def instructed(self) -> bool:
        """Whether the trace shows the agent's instructions."""
        return any(
            message.role == "system" and message.text
            for turn in self.turns.values()
            for message in turn.heard or ()
        )

    @property
    def unfinished(self) -> bool:
        return self.trace.status in _UNFINISHED

    @property
    def failed(self) -> bool:
        """Whether the trace as a whole ended in an error."""
        roots = (span for span in self.trace.spans if span.parent_id is None)
        return self.trace.status is TraceStatus.ERROR or any(
            span.status is SpanStatus.ERROR and span.kind is not SpanKind.TOOL for span in roots
        )

"""Actions of the agent in the numbered steps of a trace."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from evals.transcript.facts import Facts
from evals.transcript.numbering import MessageStep, Slot

MAX_RULE_TEXT: Final = 20_000
"""Maximum number of characters of a text that an offline rule searches for phrases."""


def actions(facts: Facts) -> Counter[int]:
    """The number of tool calls and messages to the user per step."""
    found = Counter(call.step for call in facts.calls)
    found.update(step for step, _ in replies_by_step(facts))
    return found


def no_actions(facts: Facts) -> str | None:
    return None if actions(facts) else "The trace shows neither a tool call nor a message."


def steps_of_actions(steps: Iterable[int], actions_by_step: Counter[int], facts: Facts) -> set[int]:
    """These steps.

    The steps of the requested calls replace a model step that only requests calls.
    """
    numbering = facts.numbering
    found: set[int] = set()
    for step in steps:
        asked = numbering.slots[step - 1].asked
        calls = [numbering.call_steps[id(one)] for one in asked if id(one) in numbering.call_steps]
        found.update([step] if actions_by_step[step] or not calls else calls)
    return found


def replies_by_step(facts: Facts) -> Iterator[tuple[int, str]]:
    """The agent's messages in this trace, each with its step.

    Omits messages of earlier turns that the model only read.
    """
    replies = {id(message) for turn in facts.turns.values() for message in turn.said or ()}
    for slot in facts.numbering.slots:
        yield from ((slot.number, text) for text in _texts(slot, replies, facts))


def _texts(slot: Slot, shown: set[int], facts: Facts) -> Iterator[str]:
    if slot.kind == MessageStep.OUTPUT:
        yield facts.answer
    for message in slot.messages:
        if message.role == "assistant" and message.text and id(message) in shown:
            yield message.text

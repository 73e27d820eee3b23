"""The shape of requests to a model: the options that its data promise and that the model has not
refused.
"""

from dataclasses import dataclass, replace

from pydantic import BaseModel

from evals.judges.answer_format import Mode, request_fields
from evals.judges.request_faults import Option

_ANSWER_TOKENS = 2_048
_REASONING_TOKENS = 16_384
_TOKENS_AT_ONCE = 1_024


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """Facts from LiteLLM's model data. Without `known`, all other fields are guesses."""

    known: bool = False
    context_tokens: int | None = None
    answer_tokens: int | None = None
    schema: bool = False
    tools: bool = False
    reasoning: bool = False


@dataclass(frozen=True, slots=True)
class RequestShape:
    """The options of a request. After a refusal of an option, later requests omit the option.

    `max_tokens` limits the answer; `limit` is the name of the option for it.
    """

    mode: Mode
    max_tokens: int
    temperature: bool = True
    limit: Option = Option.MAX_TOKENS

    def with_room_for(self, tokens: int) -> "RequestShape":
        """A shape for longer answers.

        The limit is rounded up, so that few different shapes occur.
        """
        if tokens <= self.max_tokens:
            return self
        return replace(self, max_tokens=-(-tokens // _TOKENS_AT_ONCE) * _TOKENS_AT_ONCE)

    def within(self, most_tokens: int | None) -> "RequestShape":
        """A shape for answers of at most this many tokens; None adds no limit."""
        if most_tokens is None or most_tokens >= self.max_tokens:
            return self
        return replace(self, max_tokens=most_tokens)

    def options(self, answer: type[BaseModel]) -> dict[str, object]:
        chosen = request_fields(self.mode, answer)
        chosen[self.limit.value] = self.max_tokens
        if self.temperature:
            chosen["temperature"] = 0
        return chosen

    def without(self, option: Option) -> "RequestShape | None":
        """The next shape to try without this option; None if no option is left to remove."""
        if option is Option.TEMPERATURE:
            return replace(self, temperature=False) if self.temperature else None
        if option is Option.SHAPE:
            return replace(self, mode=self.mode.plainer) if self.mode.plainer else None
        other = {
            Option.MAX_TOKENS: Option.MAX_COMPLETION_TOKENS,
            Option.MAX_COMPLETION_TOKENS: Option.MAX_TOKENS,
        }[option]
        return replace(self, limit=other) if self.limit is option else None


def first_request_shape(facts: ModelFacts) -> RequestShape:
    """The most binding mode that the model is known to support.

    An unknown model also gets the most binding mode.
    """
    mode = Mode.SCHEMA if facts.schema or not facts.known else Mode.PLAIN
    if facts.known and facts.tools and not facts.schema:
        mode = Mode.TOOL
    tokens = _REASONING_TOKENS if facts.reasoning else _ANSWER_TOKENS
    limit = Option.MAX_COMPLETION_TOKENS if facts.reasoning else Option.MAX_TOKENS
    return RequestShape(mode, min(tokens, facts.answer_tokens or tokens), limit=limit)

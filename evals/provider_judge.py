"""A judge at a provider: asks in a shape, repairs, and learns what the model refuses."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import TypeVar

from pydantic import BaseModel

from core.errors import JudgeBusy, JudgeError, JudgeFailed
from evals.judge import Judgement, Question, Usage
from evals.provider_errors import (
    Asked,
    Meaning,
    Option,
    judge_error,
    meaning,
    refused_option,
    token_limit,
)
from evals.provider_faults import Fault
from evals.structured import Mode, Unreadable, correction, instructions, read, request_fields
from evals.throttle import Throttle, Turn

A = TypeVar("A", bound=BaseModel)
Message = dict[str, str]

DEFAULT_CONTEXT_TOKENS = 32_000
_LEAST_INPUT_TOKENS = 1_000
_QUESTION_TOKENS = 1_500
_ROOM = 2_048
_ROOM_TO_REASON = 16_384
_MOST_ROOM = 8_192
_REPAIRS = 2
_MOST_CALLS = 10
_LONGEST_QUOTE = 6_000


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What LiteLLM's model data says. `known` False: nothing, and the rest are guesses."""

    known: bool = False
    context_tokens: int | None = None
    answer_tokens: int | None = None
    schema: bool = False
    tools: bool = False
    reasoning: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """`finish` is OpenAI's finish_reason. `cost_usd` is None when the price is unknown."""

    text: str = ""
    finish: str = "stop"
    refusal: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = None


# One call of the model with these messages and options, never repeated. Raises Fault.
Complete = Callable[[list[Message], Mapping[str, object]], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Habits:
    """How this model, at this address, is asked; what it refuses is left out from then on."""

    mode: Mode
    room: int
    temperature: bool = True
    limit: Option = Option.MAX_TOKENS

    def options(self, answer: type[BaseModel]) -> dict[str, object]:
        chosen = request_fields(self.mode, answer)
        chosen[self.limit.value] = self.room
        if self.temperature:
            chosen["temperature"] = 0
        return chosen

    def without(self, option: Option) -> "Habits | None":
        """The next habits to try; None when there is nothing left to do without."""
        if option is Option.TEMPERATURE:
            return replace(self, temperature=False) if self.temperature else None
        if option is Option.SHAPE:
            return replace(self, mode=self.mode.plainer) if self.mode.plainer else None
        other = {
            Option.MAX_TOKENS: Option.MAX_COMPLETION_TOKENS,
            Option.MAX_COMPLETION_TOKENS: Option.MAX_TOKENS,
        }[option]
        return replace(self, limit=other) if self.limit is option else None


def first_habits(facts: ModelFacts) -> Habits:
    """The most binding mode the model is known for; a model nobody knows is tried on it too."""
    mode = Mode.SCHEMA if facts.schema or not facts.known else Mode.PLAIN
    if facts.known and facts.tools and not facts.schema:
        mode = Mode.TOOL
    room = _ROOM_TO_REASON if facts.reasoning else _ROOM
    limit = Option.MAX_COMPLETION_TOKENS if facts.reasoning else Option.MAX_TOKENS
    return Habits(mode, min(room, facts.answer_tokens or room), limit=limit)


@dataclass(frozen=True, slots=True)
class Patience:
    """Longest waits, in seconds: for one call, and for all calls of one question."""

    call: float
    question: float


class ProviderJudge:
    """One model at one address. Safe to share between concurrent questions."""

    def __init__(
        self,
        asked: Asked,
        facts: ModelFacts,
        complete: Complete,
        throttle: Throttle,
        patience: Patience,
    ) -> None:
        self._throttle = throttle
        self._asked = asked
        self._facts = facts
        self._complete = complete
        self._patience = patience
        self._habits = first_habits(facts)
        self._input_tokens = _budget(facts, self._habits.room)

    @property
    def model(self) -> str:
        return self._asked.model

    @property
    def input_tokens(self) -> int:
        return self._input_tokens

    @input_tokens.setter
    def input_tokens(self, tokens: int) -> None:
        self._input_tokens = tokens

    @property
    def parameters(self) -> str:
        return "temperature=0"

    async def ask(self, question: Question[A]) -> Judgement[A]:
        prompt = f"{question.trace}\n\n{question.text}"
        # JSON takes whole characters only; a trace may hold half a surrogate pair.
        asked = replace(self._asked, prompt=prompt.encode(errors="replace").decode())
        bill = Bill(self._patience.question)
        try:
            return await self._answered(question, asked, bill)
        except JudgeError as error:
            raise error.having_spent(bill.usage) from None

    async def _answered(self, question: Question[A], asked: Asked, bill: "Bill") -> Judgement[A]:
        messages: list[Message] = [{"role": "user", "content": asked.prompt}]
        repairs = 0
        for _ in range(_MOST_CALLS):
            used = self._habits
            try:
                async with self._throttle.turn() as turn:
                    reply = await self._call(messages, question.answer, used, bill)
                    turn.succeeded()
            except Fault as fault:
                self._heed(fault, turn, asked)
                self._habits = self._learned(fault, used, asked)
                continue
            self._refuse_refusals(reply)
            try:
                return Judgement(read(reply.text, question.answer), bill.usage)
            except Unreadable as problem:
                if reply.finish == "length":
                    self._habits = self._roomier(used)
                    continue
                repairs += 1
                if repairs > _REPAIRS:
                    did = f"gave no usable answer in {repairs} tries: {problem}"
                    raise self._failed(did) from None
                messages = _repair(messages[0], reply.text, question.answer, problem)
        raise self._failed(f"gave no usable answer in {_MOST_CALLS} calls")

    async def _call(
        self, messages: list[Message], answer: type[BaseModel], used: Habits, bill: "Bill"
    ) -> Reply:
        allowed = min(self._patience.call, bill.seconds_left)
        if allowed <= 0:
            raise JudgeBusy(
                f"{self._asked.name} took longer than {self._patience.question:g} s "
                "over one question.",
                provider=self._asked.provider,
            )
        started = monotonic()
        try:
            async with asyncio.timeout(allowed):
                described = self._described(messages, answer, used)
                reply = await self._complete(described, used.options(answer))
        except TimeoutError:
            raise Fault(f"no answer came within {allowed:.3g} s") from None
        finally:
            bill.seconds_left -= monotonic() - started
        bill.usage += Usage(
            calls=1,
            prompt_tokens=reply.prompt_tokens,
            completion_tokens=reply.completion_tokens,
            cost_usd=reply.cost_usd,
            latency_ms=round((monotonic() - started) * 1000),
        )
        return reply

    def _heed(self, fault: Fault, turn: Turn, asked: Asked) -> None:
        match meaning(fault, asked):
            case Meaning.RATE_LIMITED:
                turn.refused(fault.retry_after)
            case Meaning.BUSY:
                turn.failed()

    def _described(
        self, messages: list[Message], answer: type[BaseModel], used: Habits
    ) -> list[Message]:
        """The schema in words too, unless the provider is known to bind the model to it.

        Servers exist that take `response_format` without a word and ignore it.
        """
        if len(messages) > 1 or (self._facts.known and used.mode is not Mode.PLAIN):
            return messages
        opening = messages[0]["content"]
        return [{"role": "user", "content": f"{opening}\n\n{instructions(answer)}"}]

    def _learned(self, fault: Fault, used: Habits, asked: Asked) -> Habits:
        """Habits without what the fault refuses. Raises JudgeError when that is not the matter."""
        option = refused_option(fault, asked)
        changed = used.without(option) if option else None
        if changed is None:
            # Not `from fault`: it may quote the trace, and causes are written down with errors.
            raise self._error(fault, asked) from None
        # Another question may have learned the same meanwhile: never step down twice for one.
        return changed if self._habits == used else self._habits

    def _error(self, fault: Fault, asked: Asked) -> JudgeError:
        error = judge_error(fault, asked)
        if meaning(fault, asked) is Meaning.TOO_LONG and self._learn_budget(fault, asked.prompt):
            return JudgeBusy(
                f"{error.message} The trace is cut to {self._input_tokens} tokens from now on.",
                provider=error.provider,
                retry_after=1.0,
            )
        return error

    def _learn_budget(self, fault: Fault, prompt: str) -> bool:
        """Whether a prompt cut to the budget as it now is would be shorter than this one."""
        sent = len(prompt) // 4
        if sent > self._input_tokens * 1.1:
            return True
        told = token_limit(fault)
        most = (told - min(self._habits.room, told // 4)) * 9 // 10 if told else sent
        smaller = min(most, min(self._input_tokens, max(sent, 1)) * 3 // 4)
        if smaller < _LEAST_INPUT_TOKENS:
            return False
        self._input_tokens = smaller
        return True

    def _roomier(self, used: Habits) -> Habits:
        most = self._facts.answer_tokens or _MOST_ROOM
        if self._habits.room > used.room:
            return self._habits
        if used.room >= most:
            raise self._failed(f"was still answering after {used.room} tokens and was cut off")
        return replace(self._habits, room=min(used.room * 4, most))

    def _refuse_refusals(self, reply: Reply) -> None:
        if reply.refusal:
            raise self._failed("refused to judge this trace")
        if reply.finish == "content_filter":
            raise self._failed("stopped at a content filter over this trace")

    def _failed(self, did: str) -> JudgeFailed:
        return JudgeFailed(f"{self._asked.model} {did}.", provider=self._asked.provider)


@dataclass(slots=True)
class Bill:
    """Adds up the calls of one question, whatever becomes of it.

    `seconds_left` is for calls alone: waiting for a turn takes nothing of it.
    """

    seconds_left: float
    usage: Usage = field(default_factory=Usage)


def _budget(facts: ModelFacts, room: int) -> int:
    context = facts.context_tokens or DEFAULT_CONTEXT_TOKENS
    left = context - min(room, context // 4) - _QUESTION_TOKENS
    return max(_LEAST_INPUT_TOKENS, left * 95 // 100)


def _repair(
    opening: Message, answered: str, answer: type[BaseModel], problem: Unreadable
) -> list[Message]:
    # Some providers refuse an empty message, so silence is spelled out.
    said = answered.strip()[:_LONGEST_QUOTE] or "(no answer)"
    return [
        opening,
        {"role": "assistant", "content": said},
        {"role": "user", "content": correction(answer, problem)},
    ]

"""A model at a provider as a judge: asks, repairs answers, and learns which options the model
refuses.
"""

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from functools import partial
from time import monotonic
from typing import TypeVar

from pydantic import BaseModel

from core.errors import BudgetReached, JudgeBusy, JudgeError, JudgeFailed
from core.truncation import truncate
from evals.judges.answer_format import Mode, Unreadable, correction, instructions, read
from evals.judges.bill import Bill
from evals.judges.call_report import count_call, reported
from evals.judges.completion import CallAbandoned, Complete, Message, Reply
from evals.judges.fault_meaning import Meaning, RequestSent, judge_error, meaning
from evals.judges.fault_parsing import Fault
from evals.judges.protocol import Judgement, Question, Usage
from evals.judges.rate_control import Throttle
from evals.judges.request_faults import (
    answer_limit,
    refused_option,
    rejected_answer,
    token_limit,
)
from evals.judges.request_shape import ModelFacts, RequestShape, first_request_shape
from evals.judges.spending import UNLIMITED, Hold, is_unbilled, schema_bytes

A = TypeVar("A", bound=BaseModel)

DEFAULT_CONTEXT_TOKENS = 32_000
_MIN_INPUT_TOKENS = 1_000
_QUESTION_TOKENS = 2_900
_MIN_QUESTION_TOKENS = 1_500
_MAX_ANSWER_TOKENS = 8_192
_MAX_REPAIRS = 2
_MAX_CALLS = 10
_MAX_QUOTED = 6_000
_MAX_READ_ON_LOOP = 4_000
"""Characters of an answer. Nearly JSON of 100,000 characters may take half a second to read."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Longest waits, in seconds: for one call, and for all calls of one question."""

    call: float
    question: float


@dataclass(frozen=True, slots=True)
class Request:
    """One call as it is sent."""

    messages: list[Message]
    shape: RequestShape


class ProviderJudge:
    """One model at one address. Concurrent questions may share it."""

    def __init__(
        self,
        sent: RequestSent,
        facts: ModelFacts,
        complete: Complete,
        throttle: Throttle,
        patience: Patience,
    ) -> None:
        self._throttle = throttle
        self._sent = sent
        self._facts = facts
        self._complete = complete
        self._patience = patience
        self._shape = first_request_shape(facts)
        self._input_tokens = _budget(facts, self._shape.max_tokens)

    @property
    def model(self) -> str:
        return self._sent.model

    @property
    def input_tokens(self) -> int:
        return self._input_tokens

    @input_tokens.setter
    def input_tokens(self, tokens: int) -> None:
        self._input_tokens = tokens

    @property
    def answer_tokens(self) -> int:
        most = self._facts.answer_tokens or _MAX_ANSWER_TOKENS
        return min(most, self._room(self._input_tokens // 2))

    @property
    def parameters(self) -> str:
        # Another server may serve another model under the same name.
        address = self._sent.address
        return f"temperature=0 address={address}" if address else "temperature=0"

    async def ask(self, question: Question[A]) -> Judgement[A]:
        # JSON accepts whole characters only; a trace may hold half a surrogate pair.
        sent = replace(self._sent, prompt=question.prompt.encode(errors="replace").decode())
        bill = Bill(self._patience.question, partial(count_call, sent))
        try:
            return await self._answered(question, sent, bill)
        except JudgeError as error:
            raise error.having_spent(bill.usage) from None
        except BudgetReached as error:
            error.spent = bill.usage
            raise

    async def _answered(self, question: Question[A], sent: RequestSent, bill: Bill) -> Judgement[A]:
        messages: list[Message] = [{"role": "user", "content": sent.prompt}]
        repairs = 0
        for _ in range(_MAX_CALLS):
            used = self._shape
            request = self._request(messages, question, used, bill)
            try:
                async with _reserved(question, request) as hold, self._throttle.permit() as permit:
                    with reported(permit, sent):
                        reply = await self._call(request, question, bill, hold)
            except Fault as fault:
                if not bill.fits(answer_limit(fault)):
                    self._shape = self._learned(fault, used, sent)
                continue
            self._refuse_refusals(reply)
            try:
                return Judgement(await _read(reply.text, question), bill.usage)
            except Unreadable as problem:
                if reply.finish == "length":
                    self._shape = self._with_more_tokens(used, bill)
                    continue
                repairs += 1
                if repairs > _MAX_REPAIRS:
                    did = f"gave no usable answer in {repairs} tries: {problem}"
                    raise self._failed(did) from None
                messages = _repair(messages[0], reply.text, question.answer, problem)
        raise self._failed(f"gave no usable answer in {_MAX_CALLS} calls")

    async def _call(self, request: Request, question: Question[A], bill: Bill, hold: Hold) -> Reply:
        """Raises Fault, JudgeFailed, and JudgeBusy when the question's time is over."""
        allowed = min(self._patience.call, bill.seconds_left)
        if allowed <= 0:
            raise JudgeBusy(
                f"{self._sent.name} took longer than {self._patience.question:g} s "
                "over one question.",
                provider=self._sent.provider,
            )
        started = monotonic()
        try:
            async with asyncio.timeout(allowed):
                reply = await self._reply(request, question, hold)
        except TimeoutError:
            raise Fault(f"no answer came within {allowed:.3g} s") from None
        except CallAbandoned as abandoned:
            bill.add(Usage(calls=1, cost_usd=None))
            raise self._failed(str(abandoned)) from None
        finally:
            bill.seconds_left -= monotonic() - started
        bill.add(replace(reply.usage, latency_ms=round((monotonic() - started) * 1000)))
        if reply.finish == "error":
            raise Fault("its answer broke off with an error")
        return reply

    def _request(
        self, messages: list[Message], question: Question[A], used: RequestShape, bill: Bill
    ) -> Request:
        described = self._described(messages, question.answer, used)
        room = min(self.answer_tokens, self._room(self._input_tokens // 4))
        shape = used.with_room_for(min(question.answer_tokens, room))
        return Request(described, shape.within(bill.most_tokens))

    async def _reply(self, request: Request, question: Question[A], hold: Hold) -> Reply:
        hold.begin()
        try:
            reply = await self._complete(request.messages, request.shape, question.answer)
        except Fault as fault:
            rejected = rejected_answer(fault)
            if rejected is None:
                if is_unbilled(fault.status):
                    hold.void()
                raise
            # The provider itself has checked the answer against the schema.
            return Reply(text=rejected)
        hold.settle(reply.usage)
        return reply

    def _room(self, tokens: int) -> int:
        """Lowers the room for the answer if needed, because prompt and answer share a context."""
        return max(self._shape.max_tokens, tokens)

    def _described(
        self, messages: list[Message], answer: type[BaseModel], used: RequestShape
    ) -> list[Message]:
        """Adds the schema in words, unless the provider is known to enforce it.

        Some servers accept `response_format` and silently ignore it.
        """
        if len(messages) > 1 or (self._facts.known and used.mode is not Mode.PLAIN):
            return messages
        opening = messages[0]["content"]
        return [{"role": "user", "content": f"{opening}\n\n{instructions(answer)}"}]

    def _learned(self, fault: Fault, used: RequestShape, sent: RequestSent) -> RequestShape:
        """The shape without the option that the fault refuses.

        Raises JudgeError for other faults.
        """
        option = refused_option(fault, sent)
        changed = used.without(option) if option else None
        if changed is None:
            # Without `from fault`: a fault may quote the trace, and causes are logged.
            raise self._error(fault, sent) from None
        # A concurrent question may have learned the same already; one refusal removes only one
        # option.
        return changed if self._shape == used else self._shape

    def _error(self, fault: Fault, sent: RequestSent) -> JudgeError:
        error = judge_error(fault, sent)
        if meaning(fault, sent) is Meaning.TOO_LONG and self._learn_budget(fault, sent.prompt):
            return JudgeBusy(
                f"{error.message} The trace is cut to {self._input_tokens} tokens from now on.",
                provider=error.provider,
                retry_after=1.0,
            )
        return error

    def _learn_budget(self, fault: Fault, prompt: str) -> bool:
        """Lowers the token budget if needed. True if a newly rendered prompt would be shorter."""
        sent = len(prompt) // 4
        if sent > self._input_tokens * 1.1:
            return True
        told = token_limit(fault)
        most = (told - min(self._shape.max_tokens, told // 4)) * 9 // 10 if told else sent
        smaller = min(most, min(self._input_tokens, max(sent, 1)) * 3 // 4)
        if smaller < _MIN_INPUT_TOKENS:
            return False
        self._input_tokens = smaller
        return True

    def _with_more_tokens(self, used: RequestShape, bill: Bill) -> RequestShape:
        """Raises JudgeFailed if the model cannot write more or the prompt leaves no room."""
        most = self._facts.answer_tokens or _MAX_ANSWER_TOKENS
        if self._shape.max_tokens > used.max_tokens and bill.most_tokens is None:
            return self._shape
        if used.max_tokens >= most or bill.most_tokens is not None:
            tokens = bill.most_tokens or used.max_tokens
            raise self._failed(f"was still answering after {tokens} tokens and was cut off")
        return replace(self._shape, max_tokens=min(used.max_tokens * 4, most))

    def _refuse_refusals(self, reply: Reply) -> None:
        if reply.refusal:
            raise self._failed("refused to judge this trace")
        if reply.finish == "content_filter":
            raise self._failed("stopped at a content filter over this trace")

    def _failed(self, did: str) -> JudgeFailed:
        return JudgeFailed(f"{self._sent.model} {did}.", provider=self._sent.provider)


async def _read(text: str, question: Question[A]) -> A:
    """Raises Unreadable for an answer that does not validate or does not fit the trace."""
    if len(text) > _MAX_READ_ON_LOOP:
        answer = await asyncio.to_thread(read, text, question.answer)
    else:
        answer = read(text, question.answer)
    if question.check is not None:
        try:
            question.check(answer)
        except ValueError as problem:
            raise Unreadable(str(problem)) from None
    return answer


def _reserved(question: Question[A], request: Request) -> AbstractAsyncContextManager[Hold]:
    """Reserves the maximum cost of the request, then waits for a permit."""
    if question.spending is None:
        return UNLIMITED
    texts = sum(len(message["content"].encode()) for message in request.messages)
    return question.spending.hold(
        prompt_bytes=texts + schema_bytes(question.answer),
        answer_tokens=request.shape.max_tokens,
    )


def _budget(facts: ModelFacts, answer_tokens: int) -> int:
    context = facts.context_tokens or DEFAULT_CONTEXT_TOKENS
    question = max(_MIN_QUESTION_TOKENS, min(_QUESTION_TOKENS, context // 10))
    left = context - min(answer_tokens, context // 4) - question
    return max(_MIN_INPUT_TOKENS, left * 95 // 100)


def _repair(
    opening: Message, answered: str, answer: type[BaseModel], problem: Unreadable
) -> list[Message]:
    # Some providers refuse an empty message, so an empty answer is described in words.
    said = truncate(answered.strip(), _MAX_QUOTED) or "(no answer)"
    return [
        opening,
        {"role": "assistant", "content": said},
        {"role": "user", "content": correction(answer, problem)},
    ]

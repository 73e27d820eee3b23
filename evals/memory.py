"""Judgements asked once: kept under a hash of everything that was asked, shared while in flight."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, JsonValue, ValidationError

from core.errors import JudgeError
from core.jsontext import canonical
from evals.judge import Judge, Judgement, Question, Usage
from evals.rules import OFFLINE_MODEL

A = TypeVar("A", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class StoredJudgement:
    answer: dict[str, JsonValue]
    model: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = None


@lru_cache(maxsize=256)
def _schema(answer: type[BaseModel]) -> str:
    return canonical(answer.model_json_schema()).decode()


class JudgementStore(Protocol):
    """Where completed judgements outlive the process. Both are safe to repeat."""

    async def get(self, key: str) -> StoredJudgement | None: ...

    async def put(self, key: str, judgement: StoredJudgement) -> None: ...


@dataclass(eq=False, slots=True)
class _Flight:
    task: asyncio.Task[Judgement[Any]]
    waiting: int = 0
    answered: bool = False
    usage_taken: bool = False


@dataclass(eq=False, slots=True)
class Flights:
    """Questions being asked right now in this process, by key.

    A flight belongs to nobody: it ends when it is answered or when the last one
    who waits for it has gone, so whoever came first may be cancelled freely. Once
    there is an answer it goes on without anyone: that is paid for, and on its way
    into the store.
    """

    _open: dict[str, _Flight] = field(default_factory=dict)

    async def join(
        self, key: str, ask: Callable[[], Coroutine[Any, Any, Judgement[A]]]
    ) -> Judgement[A]:
        flight = self._open.get(key)
        if flight is None:
            flight = self._take_off(key, ask)
        flight.waiting += 1
        try:
            judgement = await asyncio.shield(flight.task)
        except JudgeError as error:
            spent = Usage() if flight.usage_taken else error.spent
            flight.usage_taken = True
            raise error.having_spent(spent) from None
        finally:
            flight.waiting -= 1
            if flight.waiting == 0 and not flight.answered and not flight.task.done():
                self._land(key, flight)
                flight.task.cancel()
        # One asker's score pays for the call; to the others it was there already.
        if flight.usage_taken:
            return Judgement(judgement.answer, Usage(cached_calls=1))
        flight.usage_taken = True
        return judgement

    def answered(self, key: str) -> None:
        if key in self._open:
            self._open[key].answered = True

    def _take_off(self, key: str, ask: Callable[[], Coroutine[Any, Any, Judgement[A]]]) -> _Flight:
        flight = _Flight(asyncio.create_task(ask()))
        self._open[key] = flight

        def landed(task: asyncio.Task[Judgement[Any]]) -> None:
            self._land(key, flight)
            if not task.cancelled():
                # Everyone may have left before it failed; then nobody else looks at its error.
                task.exception()

        flight.task.add_done_callback(landed)
        return flight

    def _land(self, key: str, flight: _Flight) -> None:
        if self._open.get(key) is flight:
            del self._open[key]


class RememberingJudge:
    """Asks `judge` only what the store does not know and nobody is asking already.

    A run that wants fresh judgements passes its own id as `scope`: it finds nothing
    older than itself, only what it has asked already. What it learns is from then
    on what everybody finds.
    """

    def __init__(
        self, judge: Judge, store: JudgementStore, flights: Flights, scope: str = ""
    ) -> None:
        self._judge = judge
        self._store = store
        self._flights = flights
        self._scope = scope

    @property
    def model(self) -> str:
        return self._judge.model

    @property
    def input_tokens(self) -> int:
        return self._judge.input_tokens

    @property
    def parameters(self) -> str:
        return self._judge.parameters

    async def ask(self, question: Question[A]) -> Judgement[A]:
        if self.model == OFFLINE_MODEL:
            # Applying a rule costs less than looking it up, and a new rule must count at once.
            return await self._judge.ask(question)
        key = self.key(question, self._scope)
        return await self._flights.join(key, lambda: self._ask(key, question))

    def key(self, question: Question[A], scope: str = "") -> str:
        digest = sha256()
        for part in (
            self.model,
            question.trace,
            question.text,
            _schema(question.answer),
            self.parameters,
            scope,
        ):
            text = part.encode("utf-8", "replace")
            # With its length before it, no part can end where the next one begins.
            digest.update(b"%d:" % len(text))
            digest.update(text)
        return digest.hexdigest()

    async def _ask(self, key: str, question: Question[A]) -> Judgement[A]:
        known = await self._recall(key, question)
        if known is not None:
            return Judgement(known, Usage(cached_calls=1))
        judgement = await self._judge.ask(question)
        self._flights.answered(key)
        usage = judgement.usage
        stored = StoredJudgement(
            model=self.model,
            answer=judgement.answer.model_dump(mode="json"),
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cost_usd=usage.cost_usd,
        )
        for where in {key, self.key(question)}:
            await self._store.put(where, stored)
        return judgement

    async def _recall(self, key: str, question: Question[A]) -> A | None:
        stored = await self._store.get(key)
        if stored is None:
            return None
        try:
            return question.answer.model_validate(stored.answer)
        except ValidationError:
            # The schema is part of the key, but a stricter validator is not: ask again.
            return None

"""Asks each question once: stores answers under a hash of the question, and shares open calls."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final, Generic, Protocol, TypeVar

from pydantic import BaseModel

from core.concurrency import cancel_and_wait
from core.errors import BudgetReached, JudgeError
from core.json_codec import canonical
from core.judgement import CLAIM_SECONDS, StoredJudgement
from core.telemetry.measures import QUESTIONS, Answerer
from evals.judges.delegating import DelegatingJudge
from evals.judges.offline import OFFLINE_MODEL
from evals.judges.protocol import Judge, Judgement, Question, Usage
from evals.judges.shared_calls import SharedCalls
from evals.judges.spending import Spending

log = logging.getLogger("assay.judges")

A = TypeVar("A", bound=BaseModel)

# A claim outlives two renewals in a row that fail.
_RENEW_SECONDS: Final = CLAIM_SECONDS / 6
_LOOK_SECONDS: Final = 0.5


@lru_cache(maxsize=256)
def _schema(answer: type[BaseModel]) -> str:
    return canonical(answer.model_json_schema()).decode()


class JudgementStore(Protocol):
    """The durable store of judgements. Every method is idempotent.

    `get` finds a judgement as soon as it was `put`, even before it is written.

    A claim marks a question that one worker is asking. `claim` returns False while another worker
    holds the key, for at most `CLAIM_SECONDS` after its last claim. `release` ends the claim when
    the judgements under the key can be found.
    """

    async def get(self, key: str) -> StoredJudgement | None: ...

    async def put(self, key: str, judgement: StoredJudgement) -> None: ...

    async def claim(self, key: str) -> bool: ...

    async def release(self, key: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Paid(Generic[A]):
    """An answer with the usage of its whole call. `recalled`: the answer was found in the store."""

    answer: A
    usage: Usage
    paid_by: str | None
    recalled: bool

    def share(self, question: Question[A], payer: str, *, first: bool) -> Usage:
        """The usage that the score of one caller records.

        The pairs of the trace and run that asked pay, each its share. A later attempt at a pair
        takes its share again, because the score of an earlier attempt may not be written. A caller
        of another run pays for a question about one metric only if the caller that asked was
        cancelled during the call.
        """
        if self.paid_by == payer:
            return self.usage.share(question.place, question.shared_by)
        if first and not self.recalled and question.shared_by == 1:
            return self.usage
        return Usage(cached_calls=1)


Questions = SharedCalls[str, Paid[Any]]


def _answerer(paid: Paid[Any], *, first: bool) -> Answerer:
    if paid.recalled:
        return Answerer.STORE
    return Answerer.JUDGE if first else Answerer.CALL_IN_FLIGHT


class RememberingJudge(DelegatingJudge):
    """Asks `judge` only if the store has no answer and no other caller is asking the question.

    `payer` names the run and the trace that are billed. A run that wants fresh judgements passes
    its id as `scope`, so that it finds only answers to its own questions. Other runs then find the
    new answers too. `spending` returns what pays for a call; it is called before each call.
    `answered` is called for each answer that was not found in the store.
    """

    def __init__(  # noqa: PLR0913  the judge, the store, and the payer
        self,
        judge: Judge,
        store: JudgementStore,
        questions: Questions,
        payer: str = "",
        scope: str = "",
        spending: Callable[[], Spending | None] = lambda: None,
        answered: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(judge)
        self._store = store
        self._questions = questions
        self._payer = payer
        self._scope = scope
        self._spending = spending
        self._answered = answered

    async def ask(self, question: Question[A]) -> Judgement[A]:
        if self.model == OFFLINE_MODEL:
            # Applying a rule is cheaper than a look-up, and a changed rule must apply at once.
            return await self._judge.ask(question)
        key = self.key(question, self._scope)
        paid, first = await self._join(key, question)
        if not paid.recalled:
            self._answered()
        QUESTIONS.labels(_answerer(paid, first=first)).inc()
        return Judgement(paid.answer, paid.share(question, self._payer, first=first))

    async def _join(self, key: str, question: Question[A]) -> tuple[Paid[A], bool]:
        while True:
            try:
                return await self._questions.join(key, lambda: self._ask(key, question))
            except BudgetReached as error:
                # The run that began the call has no budget left, so this caller asks and pays
                # itself.
                if self._payer.startswith(str(error.run_id)):
                    raise

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
            # The length before each part keeps the border between parts unambiguous.
            digest.update(b"%d:" % len(text))
            digest.update(text)
        return digest.hexdigest()

    async def _ask(self, key: str, question: Question[A]) -> Paid[A]:
        known = await self._recall(key, question)
        if known is not None:
            return known
        if question.shared_by == 1:
            return await self._ask_anew(key, question)
        # Several workers may have pairs of the trace; only one worker asks.
        while not await self._store.claim(key):  # noqa: ASYNC110  the other caller may be another worker
            await asyncio.sleep(_LOOK_SECONDS)
        async with self._claimed(key):
            return await self._recall(key, question) or await self._ask_anew(key, question)

    @contextlib.asynccontextmanager
    async def _claimed(self, key: str) -> AsyncIterator[None]:
        async def renew() -> None:
            while True:
                await asyncio.sleep(_RENEW_SECONDS)
                try:
                    await self._store.claim(key)
                except Exception as error:  # noqa: BLE001 - the next renewal tries again
                    # Without renewals the claim expires, and another worker asks and pays again.
                    log.debug("A claim was not renewed: %s", type(error).__name__)

        renewing = asyncio.create_task(renew())
        try:
            yield
        finally:
            try:
                # A renewal after the release would claim the question again.
                await cancel_and_wait(renewing)
            finally:
                await self._store.release(key)

    async def _ask_anew(self, key: str, question: Question[A]) -> Paid[A]:
        spending = self._spending()
        # Only a budget interrupts a question between two calls.
        earlier = Usage() if spending is None else await self._spent_before(question)
        try:
            judgement = await self._judge.ask(replace(question, spending=spending))
        except BudgetReached as error:
            if error.spent.calls:
                spent = earlier + error.spent.as_repairs()
                await self._store.put(self._interrupted(question), self._stored({}, spent))
            raise
        except JudgeError as error:
            raise error.having_spent(error.spent, earlier) from None
        usage = earlier + judgement.usage
        stored = self._stored(judgement.answer.model_dump(mode="json"), usage)
        for where in {key, self.key(question)}:
            await self._store.put(where, stored)
        return Paid(judgement.answer, usage, self._payer, recalled=False)

    def _interrupted(self, question: Question[A]) -> str:
        """The key of the usage of the calls before the pause of the run."""
        return self.key(question, f"interrupted:{self._payer}")

    async def _spent_before(self, question: Question[A]) -> Usage:
        stored = await self._store.get(self._interrupted(question))
        return Usage() if stored is None else stored.usage

    def _stored(self, answer: dict[str, Any], usage: Usage) -> StoredJudgement:
        return StoredJudgement(
            model=self.model,
            answer=answer,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cost_usd=usage.cost_usd,
            calls=usage.calls,
            repair_calls=usage.repair_calls,
            repair_cost_usd=usage.repair_cost_usd,
            paid_by=self._payer,
        )

    async def _recall(self, key: str, question: Question[A]) -> Paid[A] | None:
        stored = await self._store.get(key)
        if stored is None:
            return None
        try:
            answer = question.answer.model_validate(stored.answer)
            if question.check is not None:
                question.check(answer)
        except ValueError:
            # The schema is part of the key, but a stricter validator is not: ask again.
            return None
        return Paid(answer, stored.usage, stored.paid_by, recalled=True)

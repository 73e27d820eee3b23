"""Work on one large trace, in the form that a worker and a reading process exchange."""

import asyncio
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from core.trace_model import Trace
from evals import catalog
from evals.evaluation import Evaluation, evaluate
from evals.judges.offline import RulesJudge
from evals.transcript.transcript import Transcript

LENGTH: Final = struct.Struct("!Q")
"""The length in front of every message."""

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class TranscriptWork:
    """A transcript with all values that metrics and a judge of this token budget use, already
    computed.
    """

    trace: Trace
    input_tokens: int

    def result(self) -> Transcript:
        transcript = Transcript(self.trace)
        transcript.prompt(self.input_tokens)
        transcript.prepare()
        return transcript


@dataclass(frozen=True, slots=True)
class RuleScore:
    """The evaluation of one metric by its offline rule."""

    trace: Trace
    metric: str

    def result(self) -> Evaluation:
        """Raises JudgeError."""
        metric = catalog.trace_metric(self.metric)
        return asyncio.run(evaluate(metric, self.trace, RulesJudge(), _NoEmbedder()))


class Work(Protocol[T_co]):
    """Work and result can be pickled."""

    @property
    def trace(self) -> Trace: ...

    def result(self) -> T_co: ...


@dataclass(frozen=True, slots=True)
class WorkRefused:
    """The work raised a JudgeError with this message."""

    message: str


@dataclass(frozen=True, slots=True)
class Broken:
    """The work raised another error. The message is dropped, because it may quote the trace."""

    error_type: str


class _NoEmbedder:
    model = ""

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        raise RuntimeError(f"Reading a trace needs no embeddings, but got {len(texts)} texts.")

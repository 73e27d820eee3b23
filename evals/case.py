"""The input of an embedding metric: a trace and the earlier traces of its session."""

from collections.abc import Sequence

from core.trace_model import Trace
from evals.judges.protocol import Embedder


class TraceCase:
    """`earlier`: the previous traces of the session, oldest first."""

    def __init__(self, trace: Trace, embedder: Embedder, earlier: Sequence[Trace] = ()) -> None:
        self.trace = trace
        self.earlier = tuple(earlier)
        self._embedder = embedder

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Raises JudgeError."""
        # A lone surrogate cannot be encoded.
        return await self._embedder.embed(
            [text.encode("utf-8", "replace").decode() for text in texts]
        )

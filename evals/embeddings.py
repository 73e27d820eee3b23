"""Embedders: wordllama from the weights in its own package, and a cache before any other."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

LOCAL_MODEL = "local/wordllama"
_REMEMBERED = 4096
_BATCH = 64

Vector = list[float]
Floats = npt.NDArray[np.floating[Any]]
EmbedBatch = Callable[[list[str]], Awaitable[list[Vector]]]


class CachedEmbedder:
    """Asks for each text once, in batches, and remembers the latest few thousand vectors."""

    def __init__(self, model: str, embed_batch: EmbedBatch, *, batch: int = _BATCH) -> None:
        self._model = model
        self._embed_batch = embed_batch
        self._batch = batch
        self._known: OrderedDict[bytes, Vector] = OrderedDict()

    @property
    def model(self) -> str:
        return self._model

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        # Tokenizers and JSON take whole characters only; a trace may hold half a pair.
        whole = [text.encode(errors="replace") for text in texts]
        keys = [blake2b(text).digest() for text in whole]
        found = {key: self._known[key] for key in keys if key in self._known}
        wanted = {k: t.decode() for k, t in zip(keys, whole, strict=True) if k not in found}
        for chunk in _chunks(list(wanted.items()), self._batch):
            vectors = await self._embed_batch([text for _, text in chunk])
            found |= {key: unit(v) for (key, _), v in zip(chunk, vectors, strict=True)}
        self._remember(found)
        return [list(found[key]) for key in keys]

    def _remember(self, found: dict[bytes, Vector]) -> None:
        for key, vector in found.items():
            self._known[key] = vector
            self._known.move_to_end(key)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)


def _chunks(items: list[tuple[bytes, str]], size: int) -> list[list[tuple[bytes, str]]]:
    return [items[at : at + size] for at in range(0, len(items), size)]


def unit(vector: Sequence[float]) -> Vector:
    """The vector at length one; a zero vector stays zero."""
    values = np.asarray(vector, dtype=np.float64)
    length = float(np.linalg.norm(values))
    return [float(value) for value in (values / length if length else values)]


class _Inference(Protocol):
    def embed(self, texts: list[str]) -> Floats: ...


class WordLlama:
    """wordllama's smallest model, loaded once, at its first use, off the event loop."""

    def __init__(self) -> None:
        self._loading: asyncio.Task[_Inference] | None = None

    async def embed(self, texts: list[str]) -> list[Vector]:
        if self._loading is None:
            self._loading = asyncio.create_task(asyncio.to_thread(_load))
        inference = await asyncio.shield(self._loading)
        return await asyncio.to_thread(_embedded, inference, texts)


def _load() -> _Inference:
    # Imported here: it costs start-up time that only the embedding metrics need to pay.
    import wordllama  # type: ignore[import-untyped]  # it ships no types

    # The weights and the tokenizer lie in the package; the default folder would be
    # the user's cache, and a miss there goes to the network.
    folder = Path(wordllama.__file__).parent
    loaded = wordllama.WordLlama.load(cache_dir=folder, disable_download=True)
    return cast(_Inference, loaded)


def _embedded(inference: _Inference, texts: list[str]) -> list[Vector]:
    return [[float(value) for value in row] for row in inference.embed(texts)]

"""Embedders: wordllama with the weights of its package, and a cache around other embedders."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt
from cachetools import LRUCache

from core.single_flight import SingleFlight

LOCAL_MODEL = "local/wordllama"
_REMEMBERED = 4096
_BATCH = 64

Vector = list[float]
Floats = npt.NDArray[np.floating[Any]]
EmbedBatch = Callable[[list[str]], Awaitable[list[Vector]]]


class CachedEmbedder:
    """Embeds each text once, in batches, and keeps the latest few thousand vectors."""

    def __init__(self, model: str, embed_batch: EmbedBatch, *, batch: int = _BATCH) -> None:
        self._model = model
        self._embed_batch = embed_batch
        self._batch = batch
        self._known: LRUCache[bytes, Vector] = LRUCache(_REMEMBERED)

    @property
    def model(self) -> str:
        return self._model

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        # Tokenizers and JSON accept whole characters only; a trace may hold half a surrogate pair.
        whole = [text.encode(errors="replace") for text in texts]
        keys = [blake2b(text).digest() for text in whole]
        cached = {key: self._known[key] for key in keys if key in self._known}
        wanted = {k: t.decode() for k, t in zip(keys, whole, strict=True) if k not in cached}
        for chunk in _chunks(list(wanted.items()), self._batch):
            vectors = await self._embed_batch([text for _, text in chunk])
            cached |= {key: unit(v) for (key, _), v in zip(chunk, vectors, strict=True)}
        self._known.update(cached)
        return [list(cached[key]) for key in keys]


def _chunks(items: list[tuple[bytes, str]], size: int) -> list[list[tuple[bytes, str]]]:
    return [items[at : at + size] for at in range(0, len(items), size)]


def unit(vector: Sequence[float]) -> Vector:
    """The vector, scaled to length one; a zero vector stays zero."""
    values = np.asarray(vector, dtype=np.float64)
    length = float(np.linalg.norm(values))
    return [float(value) for value in (values / length if length else values)]


class _Inference(Protocol):
    def embed(self, texts: list[str]) -> Floats: ...


class WordLlama:
    """wordllama's smallest model, loaded once, at its first use, in a thread."""

    def __init__(self) -> None:
        self._inference: _Inference | None = None
        self._loads: SingleFlight[None, _Inference] = SingleFlight()

    async def embed(self, texts: list[str]) -> list[Vector]:
        if self._inference is None:
            self._inference = await self._loads.join(None, lambda: asyncio.to_thread(_load))
        return await asyncio.to_thread(_embedded, self._inference, texts)


def _load() -> _Inference:
    # Imported here, because only the embedding metrics need it and the import is slow.
    import wordllama  # type: ignore[import-untyped]  # it ships no types

    # The package holds the weights and the tokenizer. The default folder is the user's cache, which
    # is filled from the network.
    folder = Path(wordllama.__file__).parent
    loaded = wordllama.WordLlama.load(cache_dir=folder, disable_download=True)
    return cast(_Inference, loaded)


def _embedded(inference: _Inference, texts: list[str]) -> list[Vector]:
    return [[float(value) for value in row] for row in inference.embed(texts)]

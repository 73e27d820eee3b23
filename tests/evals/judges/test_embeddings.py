"""Vectors from wordllama's package, and from any provider."""

import math

import pytest

from core.errors import JudgeBusy, JudgeUnusable
from evals.judges.embeddings import CachedEmbedder, Vector, WordLlama, unit
from evals.judges.provider_table import find_model
from evals.judges.registry import JudgeConfig, configured_judges
from tests.evals.judges.conftest import KEYS, JudgesAt
from tests.judge_server import JudgeServer, fails, hangs, rate_limited


def similarity(one: Vector, other: Vector) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


class Counting:
    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    async def __call__(self, texts: list[str]) -> list[Vector]:
        self.batches.append(texts)
        return [[float(len(text)), 1.0] for text in texts]


async def test_the_local_model_knows_what_is_alike() -> None:
    embedder = configured_judges(JudgeConfig(environment={})).embedder()
    assert embedder.model == "local/wordllama"
    flight, ticket, soup = await embedder.embed(
        ["book me a flight to Rome", "reserve a plane ticket to Italy", "a recipe for onion soup"]
    )
    assert similarity(flight, ticket) > similarity(flight, soup) + 0.1
    assert math.isclose(similarity(flight, flight), 1, rel_tol=1e-6)
    [other] = await embedder.embed(["fly me to Rome"])
    assert similarity(flight, other) > similarity(soup, other)


@pytest.mark.slow
async def test_the_local_model_takes_empty_and_strange_texts() -> None:
    vectors = await CachedEmbedder("local/wordllama", WordLlama().embed).embed(
        ["", "\ud800", "日本語のテキスト", "word " * 20_000]
    )
    assert all(math.isfinite(value) for vector in vectors for value in vector)
    assert len({len(vector) for vector in vectors}) == 1


async def test_each_text_is_embedded_once_and_in_batches() -> None:
    count = Counting()
    embedder = CachedEmbedder("m", count, batch=2)
    first = await embedder.embed(["a", "bb", "a", "ccc"])
    again = await embedder.embed(["ccc", "a"])
    assert count.batches == [["a", "bb"], ["ccc"]]
    assert again == [first[3], first[0]]
    assert first[0] == first[2]


async def test_only_the_latest_vectors_are_remembered() -> None:
    count = Counting()
    embedder = CachedEmbedder("m", count)
    await embedder.embed(["the first"])
    for at in range(4096):
        await embedder.embed([f"text {at}"])
    count.batches.clear()
    await embedder.embed(["the first", "text 4095"])
    assert count.batches == [["the first"]]


async def test_a_callers_vector_is_its_own() -> None:
    embedder = CachedEmbedder("m", Counting())
    [vector] = await embedder.embed(["a"])
    vector.clear()
    assert (await embedder.embed(["a"]))[0] != []


def test_vectors_have_length_one_and_nothing_stays_nothing() -> None:
    assert unit([3.0, 4.0]) == pytest.approx([0.6, 0.8])
    assert unit([0.0, 0.0]) == [0.0, 0.0]


async def test_a_providers_vectors_come_in_the_order_of_the_texts(judges_at: JudgesAt) -> None:
    name = "openai/text-embedding-3-small"
    async with JudgeServer() as server:
        judges = judges_at(server, "openai/gpt-4o-mini", embedding_model=name)
        short, long = await judges.embedder().embed(["a", "a longer text"])
    assert judges.embedder().model == name
    assert short[0] < long[0]
    [request] = server.requests
    assert request.body["input"] == ["a", "a longer text"]


async def test_errors_of_an_embedding_model_are_classified_alike(judges_at: JudgesAt) -> None:
    steps = [rate_limited(5), fails(401, "Incorrect API key provided", "invalid_api_key")]
    async with JudgeServer(steps) as server:
        config = {"embedding_model": "openai/text-embedding-3-small"}
        embedder = judges_at(server, "openai/gpt-4o-mini", **config).embedder()
        with pytest.raises(JudgeBusy) as caught:
            await embedder.embed(["a"])
        assert caught.value.retry_after == 5.0
        with pytest.raises(JudgeUnusable):
            await embedder.embed(["a"])
    assert len(server.requests) == 2


def test_an_embedding_model_without_credentials_is_refused() -> None:
    config = JudgeConfig(embedding_model="cohere/embed-v4.0", environment=KEYS)
    with pytest.raises(JudgeUnusable, match="COHERE_API_KEY"):
        configured_judges(config).embedder()


@pytest.mark.slow
async def test_a_silent_embedding_model_is_worth_asking_again(judges_at: JudgesAt) -> None:
    name = "openai/text-embedding-3-small"
    async with JudgeServer([hangs()]) as server:
        judges = judges_at(server, "openai/gpt-4o-mini", embedding_model=name, timeout_seconds=0.3)
        with pytest.raises(JudgeBusy, match="no answer"):
            await judges.embedder().embed(["a"])


async def test_an_embedding_model_that_only_fails_is_left_alone_for_a_while(
    judges_at: JudgesAt,
) -> None:
    async with JudgeServer(lambda _: fails(500, "The server had an error")) as server:
        config = {"embedding_model": "openai/text-embedding-3-small"}
        embedder = judges_at(server, "openai/gpt-4o-mini", **config).embedder()
        for at in range(11):
            with pytest.raises(JudgeBusy):
                await embedder.embed([f"text {at}"])
    assert len(server.requests) == 10


def test_embeddings_have_an_address_of_their_own_where_a_provider_gives_them_one() -> None:
    cohere = find_model("cohere/embed-v4.0").provider.address({}, None)
    assert cohere.of_embeddings().base == "https://api.cohere.com/v2/embed"
    moved = find_model("cohere/embed-v4.0").provider.address({}, "http://gateway/embed")
    assert moved.of_embeddings().base == "http://gateway/embed"

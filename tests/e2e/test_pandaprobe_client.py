"""The published Python client `pandaprobe`, unchanged, against a real Assay."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pandaprobe
import pytest
from pandaprobe.api import PlatformClient
from pandaprobe.api.errors import ApiError, AuthenticationError, NotFoundError
from pandaprobe.schemas import SpanData, TraceData

from tests.e2e.conftest import API_KEY, Assay, Json

QUESTION = {"messages": [{"role": "user", "content": "Where is order 4711?"}]}
ANSWER = {"messages": [{"role": "assistant", "content": "It is out for delivery."}]}


@pytest.fixture
def client(assay: Assay, monkeypatch: pytest.MonkeyPatch) -> Iterator[pandaprobe.Client]:
    """Configured by the environment."""
    monkeypatch.setenv("PANDAPROBE_ENDPOINT", str(assay.api.base_url).rstrip("/"))
    monkeypatch.setenv("PANDAPROBE_API_KEY", API_KEY)
    monkeypatch.setenv("PANDAPROBE_PROJECT_NAME", "default")
    monkeypatch.setenv("PANDAPROBE_ENVIRONMENT", "tests")
    monkeypatch.setenv("PANDAPROBE_RELEASE", "1.2")
    made = pandaprobe.init(flush_interval=0.1)
    yield made
    made.shutdown()


async def sent(work: Callable[[], Any], client: pandaprobe.Client) -> Any:
    """Runs a user's code in a thread, and waits until everything was sent."""
    result = await asyncio.to_thread(work)
    await asyncio.to_thread(client.flush)
    return result


async def read(assay: Assay, trace_id: object) -> Json:
    answer = await assay.api.get(f"/traces/{trace_id}")
    assert answer.status_code == 200, assay.logs()
    found: Json = answer.json()
    return found


@pandaprobe.span(name="find_order", kind="TOOL")  # type: ignore[untyped-decorator] # the client's own are
def find_order(order: int) -> dict[str, Any]:
    return {"order": order, "state": "out for delivery"}


@pandaprobe.span(name="answer", kind="LLM", model="gpt-4o")  # type: ignore[untyped-decorator] # likewise
async def answer(messages: list[dict[str, str]]) -> dict[str, Any]:
    find_order(4711)
    return ANSWER


@pandaprobe.trace(name="support", session_id="s-1", user_id="u-1", tags=["sdk"])  # type: ignore[untyped-decorator] # likewise
async def support(messages: list[dict[str, str]]) -> dict[str, Any]:
    found: dict[str, Any] = await answer(messages)
    return found


async def test_decorated_functions_become_a_trace_of_nested_spans(
    assay: Assay, client: pandaprobe.Client
) -> None:
    await sent(lambda: asyncio.run(support(QUESTION["messages"])), client)
    [listed] = (await assay.api.get("/traces", params={"session_id": "s-1"})).json()["items"]
    trace = await read(assay, listed["trace_id"])
    assert (trace["name"], trace["status"], trace["user_id"]) == ("support", "COMPLETED", "u-1")
    assert (trace["tags"], trace["environment"], trace["release"]) == (["sdk"], "tests", "1.2")
    assert trace["input"] == QUESTION
    assert trace["output"] == ANSWER
    spans = {span["name"]: span for span in trace["spans"]}
    assert spans["answer"]["kind"] == "LLM"
    assert spans["answer"]["model"] == "gpt-4o"
    assert spans["find_order"]["parent_span_id"] == spans["answer"]["span_id"]
    assert spans["find_order"]["output"] == {"order": 4711, "state": "out for delivery"}
    assert {span["status"] for span in spans.values()} == {"OK"}


async def test_context_managers_carry_usage_cost_errors_session_and_user(
    assay: Assay, client: pandaprobe.Client
) -> None:
    ids: list[str] = []

    def fail() -> None:
        with client.trace("failing", input=QUESTION, metadata={"tier": "gold"}) as trace:
            ids.append(trace.trace_id)
            with trace.span("model", kind="LLM", model="gpt-4o") as span:
                span.set_token_usage(prompt_tokens=7, completion_tokens=5)
                span.set_cost(total=0.25)
                span.set_model_parameters({"temperature": 0})
                span.set_completion_start_time(datetime.now(UTC))
            with trace.span("tool", kind="TOOL"):
                raise ConnectionError("The warehouse is away.")

    def work() -> None:
        with (
            pandaprobe.session("s-2"),
            pandaprobe.user("u-2"),
            pytest.raises(ConnectionError),
        ):
            fail()

    await sent(work, client)
    trace = await read(assay, ids[0])
    assert (trace["status"], trace["session_id"], trace["user_id"]) == ("ERROR", "s-2", "u-2")
    assert (trace["total_tokens"], trace["total_cost"]) == (12, 0.25)
    assert trace["metadata"] == {"tier": "gold"}
    spans = {span["name"]: span for span in trace["spans"]}
    assert spans["model"]["model_parameters"] == {"temperature": 0}
    assert spans["model"]["time_to_first_token_ms"] is not None
    assert (spans["tool"]["status"], spans["tool"]["error"]) == (
        *("ERROR", "The warehouse is away."),
    )


def trace_data(**overrides: Any) -> TraceData:
    fields: dict[str, Any] = {"name": "made", "started_at": datetime.now(UTC)}
    return TraceData(**(fields | {"input": QUESTION, "output": ANSWER} | overrides))


async def test_a_trace_and_its_spans_can_be_completed_later(
    assay: Assay, client: pandaprobe.Client
) -> None:
    first, second = (SpanData(name=name, started_at=datetime.now(UTC)) for name in ("one", "two"))
    running = trace_data(status="RUNNING", output=None, spans=[first])

    def work() -> None:
        client.log_trace(running)
        trace_id = str(running.trace_id)
        transport = client._transport
        transport.enqueue_spans(trace_id, [second.to_api_dict()])
        done = {"output": "found", "status": "OK", "ended_at": datetime.now(UTC).isoformat()}
        transport.enqueue_update_span(trace_id, str(first.span_id), done)
        transport.enqueue_update_trace(
            trace_id, {"status": "COMPLETED", "output": ANSWER, "tags": ["done"]}
        )

    await sent(work, client)
    trace = await read(assay, running.trace_id)
    assert (trace["status"], trace["output"], trace["tags"]) == ("COMPLETED", ANSWER, ["done"])
    spans = {span["name"]: span for span in trace["spans"]}
    assert (spans["one"]["status"], spans["one"]["output"]) == ("OK", "found")
    assert spans["two"]["status"] == "UNSET"


async def test_programmatic_scores(assay: Assay, client: pandaprobe.Client) -> None:
    trace = trace_data()

    def work() -> None:
        client.log_trace(trace)
        client.score(trace.trace_id, "helpful", "0.5", reason="Half.", metadata={"by": "rule"})
        client.score(str(trace.trace_id), "polite", "true", data_type="BOOLEAN")
        client.score(trace.trace_id, "tone", "warm", data_type="CATEGORICAL")

    await sent(work, client)
    found = (await assay.api.get(f"/evaluations/trace-scores/{trace.trace_id}")).json()
    assert {(score["name"], score["value"], score["data_type"]) for score in found} == {
        *(("helpful", "0.5", "NUMERIC"), ("polite", "true", "BOOLEAN")),
        ("tone", "warm", "CATEGORICAL"),
    }
    assert {score["source"] for score in found} == {"PROGRAMMATIC"}
    [helpful] = [score for score in found if score["name"] == "helpful"]
    assert (helpful["reason"], helpful["metadata"]) == ("Half.", {"by": "rule"})


async def test_shutdown_sends_what_is_waiting(assay: Assay, client: pandaprobe.Client) -> None:
    traces = [trace_data() for _ in range(30)]

    def work() -> None:
        for trace in traces:
            client.log_trace(trace)
        client.shutdown()

    await asyncio.to_thread(work)
    listed = (await assay.api.get("/traces")).json()
    assert listed["total"] == 30


async def test_reading_and_evaluating(assay: Assay, client: pandaprobe.Client) -> None:
    await assay.start_worker()
    tool = SpanData(
        name="find_order", kind="TOOL", input={"order": 4711}, started_at=datetime.now(UTC)
    )
    traces = [trace_data(session_id="s-3", tags=["t"], spans=[tool]) for _ in range(3)]

    def work() -> None:
        for trace in traces:
            client.log_trace(trace)

    await sent(work, client)
    async with PlatformClient(client) as platform:
        visible = await platform.traces.wait_visible(traces[0].trace_id)
        assert visible.trace_id == traces[0].trace_id
        assert visible.output == ANSWER
        assert [span.name for span in visible.spans] == ["find_order"]
        page = await platform.traces.list(session_id="s-3", status="COMPLETED", limit=2)
        assert (page.total, len(page.items)) == (3, 2)
        seen = [one.trace_id async for one in platform.traces.iterate(session_id="s-3")]
        assert set(seen) == {trace.trace_id for trace in traces}

        metrics = ["step_efficiency", "task_completion"]
        assert set(metrics) <= {metric.name for metric in await platform.evaluations.metrics()}
        asked: list[str | UUID] = [trace.trace_id for trace in traces]
        run = await platform.evaluations.create(asked, metrics, name="By the client")
        assert run.metric_names == metrics
        result = await platform.evaluations.wait(
            run.id, trace_ids=asked, metrics=metrics, timeout=60, poll_interval=0.2
        )
        assert result.run.status == "COMPLETED"
        assert len(result.scores) == 6
        assert all(score.numeric_value is not None for score in result.scores)
        assert (await platform.evaluations.get(run.id)).total_targets == 3
        assert len(await platform.evaluations.scores(run.id)) == 6


async def test_refusals_are_the_errors_the_client_knows(
    assay: Assay, client: pandaprobe.Client
) -> None:
    async with PlatformClient(client) as platform:
        with pytest.raises(NotFoundError):
            await platform.traces.get(uuid4())
        with pytest.raises(ApiError) as refused:
            await platform.evaluations.create([uuid4()], ["task_completion"])
        assert refused.value.status_code == 422
        assert refused.value.request_id
    wrong = pandaprobe.Client(api_key="wrong", flush_interval=0.1)
    async with PlatformClient(wrong) as platform:
        with pytest.raises(AuthenticationError):
            await platform.traces.list()
    await asyncio.to_thread(wrong.shutdown)

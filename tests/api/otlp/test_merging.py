"""Spans of one trace in several requests make one trace, in any order."""

from itertools import permutations
from typing import Any
from uuid import UUID, uuid4

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from tests.api.conftest import Service
from tests.api.otlp.otel import ROOT, TRACE, exported, span
from tests.factories import trace_body

ID = str(UUID(bytes=TRACE))
ASKED = {"openinference.span.kind": "AGENT", "input.value": "Where?", "output.value": "Here."}
REMOTE = {"flags": 0x300}


def root(**fields: Any) -> Any:
    attributes = ASKED | {"session.id": "of the root"}
    named: dict[str, Any] = {"name": "agent", "ends": 5}
    return span(ROOT, attributes=attributes, **(named | fields))


def model(span_id: int = 2, **fields: Any) -> Any:
    attributes: dict[str, Any] = {"openinference.span.kind": "LLM", "session.id": "of the model"}
    attributes |= {"input.value": "a", "output.value": "b", "llm.token_count.total": 10}
    named: dict[str, Any] = {"name": "model", "starts": 1, "ends": 2}
    return span(span_id, ROOT, attributes, **(named | fields))


def head(trace: dict[str, Any]) -> dict[str, Any]:
    names = [
        *("name", "status", "input", "output", "started_at", "ended_at", "latency_ms"),
        *("session_id", "span_count", "total_tokens", "metadata", "tags"),
    ]
    return {name: trace[name] for name in names}


async def test_the_order_of_requests_does_not_matter(sqlite_service: Service) -> None:
    spans = [root(), model(), model(3, starts=3, ends=9), span(4, 2, starts=1.5, ends=1.6)]
    whole = head(await exported(sqlite_service, *spans))
    assert (whole["name"], whole["status"], whole["latency_ms"]) == ("agent", "COMPLETED", 5000)
    assert (whole["input"], whole["output"]) == ("Where?", "Here.")
    assert (whole["span_count"], whole["total_tokens"]) == (4, 20)
    assert whole["session_id"] == "of the root"
    for order in permutations(spans):
        another = uuid4().bytes
        for one in order:
            one.trace_id = another
            held = await exported(sqlite_service, one)
        assert head(held) == whole


async def test_until_the_root_comes_the_trace_is_running_under_provisional_values(
    service: Service,
) -> None:
    held = await exported(service, span(4, 2, starts=1.5), model())
    assert (held["name"], held["status"]) == ("model", "RUNNING")
    assert (held["input"], held["output"]) == ("a", "b")
    held = await exported(service, root(status=Status(code=Status.STATUS_CODE_ERROR)))
    assert (held["name"], held["status"]) == ("agent", "ERROR")
    assert (held["input"], held["output"]) == ("Where?", "Here.")
    held = await exported(service, model(3, starts=-2, ends=9))
    assert (held["name"], held["status"], held["latency_ms"]) == ("agent", "ERROR", 5000)


async def test_a_span_called_from_another_process_does_not_keep_the_trace_running(
    service: Service,
) -> None:
    held = await exported(service, model(**REMOTE))
    assert (held["name"], held["status"]) == ("model", "COMPLETED")
    assert (await exported(service, root()))["name"] == "agent"


async def test_a_root_without_content_leaves_it_to_the_spans_below(service: Service) -> None:
    web = span(ROOT, name="POST /chat", ends=6)
    agent = span(2, ROOT, ASKED, name="agent", starts=1)
    held = await exported(service, web, agent, model(3))
    assert (held["name"], held["input"], held["output"]) == ("POST /chat", "Where?", "Here.")


async def test_the_first_of_several_roots_counts(service: Service) -> None:
    for one in (span(9, name="late", starts=3), span(8, name="early"), span(7, name="l", starts=1)):
        held = await exported(service, one)
    assert held["name"] == "early"


async def test_a_request_sent_again_changes_nothing(service: Service) -> None:
    once = await exported(service, root(), model())
    assert await exported(service, root(), model()) == once


async def test_what_a_client_wrote_of_a_trace_stays(service: Service) -> None:
    own = trace_body(trace_id=ID, name="mine", session_id="s", metadata={"service.name": "m"})
    await service.post_trace(**own)
    held = await exported(service, root(), model(), resource={"service.name": "x", "host": "h"})
    for name in ("name", "input", "output", "session_id"):
        assert held[name] == own[name]
    assert held["metadata"] == {"service.name": "m", "host": "h"}
    assert held["span_count"] == 3


async def test_a_client_that_describes_a_trace_of_spans_has_the_last_word(
    service: Service,
) -> None:
    await exported(service, model())
    await service.post_trace(trace_id=ID, name="mine", spans=[])
    assert (await exported(service, root()))["name"] == "mine"


async def test_a_later_change_of_its_head_has_the_last_word_as_well(service: Service) -> None:
    await exported(service, model())
    for change, name in (({"user_id": "u"}, "agent"), ({"name": "mine"}, "mine")):
        answer = await service.client.patch(f"/traces/{ID}", json=change)
        assert answer.status_code == 200, answer.text
        assert (await exported(service, root()))["name"] == name


async def test_one_request_may_carry_many_traces_and_more_spans_than_a_body(
    service: Service,
) -> None:
    many = [span(n, ROOT, starts=n / 1000) for n in range(1, 1200)]
    other = span(trace_id=bytes(range(16)), name="other")
    assert (await exported(service, root(), other, *many))["span_count"] == 1200
    assert (await service.client.get("/traces")).json()["total"] == 2


@pytest.mark.parametrize("seconds", [2**64 - 1, 1])
async def test_times_at_the_ends_of_the_scale_are_kept(service: Service, seconds: int) -> None:
    held = await exported(service, span(start_time_unix_nano=seconds, end_time_unix_nano=0))
    assert (held["status"], held["ended_at"]) == ("RUNNING", None)

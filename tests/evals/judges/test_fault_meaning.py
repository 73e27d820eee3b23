"""Error bodies as providers send them, read through both clients, and their meaning for a run."""

import sys
import traceback
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from core.errors import JudgeBusy, JudgeError, JudgeFailed, JudgeUnusable
from evals.judges.fault_meaning import RequestSent, judge_error
from evals.judges.fault_parsing import Fault, asked_wait, fault_within
from evals.judges.registry import JudgeConfig, configured_judges
from evals.judges.request_faults import token_limit
from tests.evals.judges.conftest import KEYS, QUESTION, JudgesAt
from tests.evals.judges.error_bodies import CASES, Case
from tests.judge_server import JudgeServer, Sends, fails, rate_limited

WAYS = [(case, "auto") for case in CASES]
WAYS += [(case, "litellm") for case in CASES if case.model.startswith("openai/")]


@pytest.mark.parametrize(
    ("case", "client_name"),
    WAYS,
    ids=[f"{case.name}-{case.model.split('/')[0]}-{way}" for case, way in WAYS],
)
async def test_an_error_means_what_its_body_says(
    judges_at: JudgesAt, case: Case, client_name: str
) -> None:
    async with JudgeServer([Sends(case.status, case.body)]) as server:
        judge = judges_at(server, case.model, client=client_name).judge(case.model)
        with pytest.raises(JudgeError) as caught:
            await judge.ask(QUESTION)
    assert type(caught.value) is case.error
    assert case.says in caught.value.message
    assert caught.value.provider == case.model.split("/")[0]
    if isinstance(caught.value, JudgeBusy):
        assert caught.value.rate_limited is case.rate_limited
        assert caught.value.retry_after == case.retry_after


async def test_retry_after_is_passed_on(judges_at: JudgesAt, model: str) -> None:
    async with JudgeServer([rate_limited(17)]) as server:
        with pytest.raises(JudgeBusy) as caught:
            await judges_at(server, model).judge(model).ask(QUESTION)
    assert (caught.value.retry_after, caught.value.rate_limited) == (17.0, True)


async def test_an_outage_may_say_when_to_come_back(judges_at: JudgesAt, model: str) -> None:
    down = fails(503, "Service unavailable", None, **{"retry-after": "9"})
    async with JudgeServer([down]) as server:
        with pytest.raises(JudgeBusy) as caught:
            await judges_at(server, model).judge(model).ask(QUESTION)
    assert (caught.value.retry_after, caught.value.rate_limited) == (9.0, False)


def test_retry_after_is_read_as_number_milliseconds_or_date() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert asked_wait({"Retry-After": "2.5"}) == 2.5
    assert asked_wait({"retry-after-ms": "250", "retry-after": "1"}) == 0.25
    assert asked_wait({"retry-after": later}) == pytest.approx(30, abs=2)
    assert asked_wait({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}) == 0
    assert asked_wait({"retry-after": "soon"}) is None
    assert asked_wait({}) is None


@pytest.mark.parametrize("base", ["http://127.0.0.1:9/v1", "http://nowhere.invalid/v1"])
async def test_a_server_that_is_not_there_is_worth_asking_again(model: str, base: str) -> None:
    judges = configured_judges(JudgeConfig(model=model, api_base=base, environment=KEYS))
    with pytest.raises(JudgeBusy, match="unreachable") as caught:
        await judges.judge(model).ask(QUESTION)
    await judges.close()
    assert base.split("/")[2] in caught.value.message


async def test_neither_keys_nor_the_trace_get_into_a_message_or_its_causes(
    judges_at: JudgesAt, model: str
) -> None:
    trace = "The patient John Q. Public of 12 Elm Street asked for insufficient_quota pills."
    key = KEYS[f"{model.split('/')[0].upper()}_API_KEY"]
    said = f"Cannot read {trace} sent with {key} and Bearer abc.def.ghi"
    async with JudgeServer([fails(400, said)]) as server:
        judge = judges_at(server, model).judge(model)
        with pytest.raises(JudgeFailed) as caught:
            await judge.ask(replace(QUESTION, trace=trace))
    assert caught.value.__cause__ is None
    written = "".join(traceback.format_exception(caught.value)) + caught.value.message
    for secret in ("Elm Street", key, "abc.def.ghi"):
        assert secret not in written
    assert "Cannot read" in caught.value.message


def test_a_secret_as_short_as_a_syllable_hides_no_words() -> None:
    asked = RequestSent("openai", "OpenAI", "gpt-4o", secrets=["none"])
    assert "none left" in judge_error(Fault("none left", status=400), asked).message


@pytest.mark.parametrize(
    "key",
    ["sk-proj-aB3dE5fG7hI9jK1l", "AIzaSyA1b2C3d4E5f6G7h8", "gsk_a1B2c3D4e5F6g7", "sk-...***9f"],
)
def test_a_key_never_shows_and_an_address_always_does(key: str) -> None:
    said = f"Incorrect API key {key}. Find yours at https://platform.openai.com/account/api-keys."
    message = judge_error(
        Fault(said, status=401), RequestSent("openai", "OpenAI", "gpt-4o")
    ).message
    assert key not in message
    assert "https://platform.openai.com/account/api-keys" in message


def test_long_words_of_a_provider_are_shortened() -> None:
    error = judge_error(Fault("no " * 900, status=400), RequestSent("openai", "OpenAI", "gpt-4o"))
    assert len(error.message) < 400
    assert error.message.endswith("…")


@pytest.mark.parametrize(
    ("said", "tokens"),
    [
        ("This model's maximum context length is 8192 tokens.", 8192),
        ("prompt is too long: 210000 tokens > 200000 maximum", 200000),
        ("exceeds the maximum number of tokens allowed (1048576).", 1048576),
        ("Requested tokens (9000) exceed context window of 8192", 8192),
        ("the request exceeds the available context size (4096 tokens)", 4096),
        ("too long", None),
    ],
)
def test_the_context_length_is_read_from_the_refusal(said: str, tokens: int | None) -> None:
    assert token_limit(Fault(said, status=400)) == tokens


@pytest.mark.parametrize(
    ("code", "status"),
    [("429", 429), ("²", 500), ("1" * 5000, 500), ("200", 500)],
    ids=["status", "no decimal digit", "long", "no error"],
)
def test_only_a_status_counts_as_the_code_of_an_error(code: str, status: int) -> None:
    fault = fault_within({"error": {"message": "Refused.", "code": code}}, {})
    assert fault is not None
    assert fault.status == status


def test_an_error_that_is_nested_too_deeply_to_be_written_is_a_fault() -> None:
    details: list[object] = []
    for _ in range(sys.getrecursionlimit()):
        details = [details]
    fault = fault_within({"error": {"code": 400, "details": details}}, {})
    assert fault is not None
    assert fault.status == 400


@pytest.mark.parametrize(
    ("body", "at_once"),
    [
        ('{"error": {"code": "invalid_api_key", "message": "Incorrect API key."}}', True),
        ('{"error": "Request blocked. Incident 17."}', False),
        ('{"message": "Forbidden"}', False),
    ],
)
def test_only_known_words_of_a_refusal_stop_a_run_at_once(body: str, at_once: bool) -> None:
    error = judge_error(Fault(body, status=403, body=body), RequestSent("p", "P", "m"))
    assert isinstance(error, JudgeUnusable)
    assert error.at_once is at_once

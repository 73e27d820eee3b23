"""The rate limit of a key, and allowed origins."""

from uuid import uuid4

import httpx
import pytest

from api.http.rate_limit import RateLimit
from core.errors import RateLimited
from core.settings import Settings
from tests.api.conftest import Service, serve


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def taken(limit: RateLimit, count: int) -> int:
    """The number of accepted requests among concurrent ones."""
    key, through = uuid4(), 0
    for _ in range(count):
        try:
            limit.take(key)
        except RateLimited:
            continue
        through += 1
    return through


@pytest.mark.parametrize(
    ("per_second", "burst", "through"),
    [(None, None, 50), (5, None, 5), (5, 20, 20), (0.5, None, 1), (100, 1, 1)],
)
def test_a_burst_is_let_through(per_second: float | None, burst: int | None, through: int) -> None:
    assert taken(RateLimit(per_second, burst, clock=Clock()), 50) == through


def test_after_the_time_it_names_the_next_request_is_let_through() -> None:
    clock, key = Clock(), uuid4()
    limit = RateLimit(2, 3, clock=clock)
    for _ in range(3):
        limit.take(key)
    with pytest.raises(RateLimited) as refused:
        limit.take(key)
    assert refused.value.retry_after == pytest.approx(0.5)
    clock.now += refused.value.retry_after
    limit.take(key)
    with pytest.raises(RateLimited):
        limit.take(key)
    clock.now += 3600
    assert taken(limit, 9) == 3


def test_keys_do_not_share_their_allowance() -> None:
    limit = RateLimit(1, 1, clock=Clock())
    assert [taken(limit, 2) for _ in range(3)] == [1, 1, 1]


def test_keys_that_have_their_allowance_back_are_forgotten() -> None:
    clock = Clock()
    limit = RateLimit(1000, 1, clock=clock)
    for _ in range(10_000):
        limit.take(uuid4())
    clock.now += 60
    limit.take(uuid4())
    assert len(limit._full_at) == 1


async def get(service: Service, path: str = "/traces", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await service.client.get(path, headers=named)


@pytest.mark.slow
async def test_beyond_its_rate_a_key_gets_429_and_when_to_come_back(
    sqlite_url: str, settings: Settings
) -> None:
    limited = settings.model_copy(update={"rate_limit_per_second": 0.1, "rate_limit_burst": 2})
    async for service in serve(sqlite_url, limited):
        other = await service.key(project_id=service.project_id)
        assert [(await get(service)).status_code for _ in range(3)] == [200, 200, 429]
        refused = await get(service)
        assert 1 <= int(refused.headers["Retry-After"]) <= 10
        assert "0.1 requests per second" in refused.json()["detail"]
        assert (await get(service, X_API_Key=other)).status_code == 200
        assert (await get(service, X_API_Key="wrong")).status_code == 401
        assert (await get(service, "/health")).status_code == 200
        otlp = await service.client.post("/v1/traces", json={})
        assert otlp.status_code == 429
        assert otlp.headers["Retry-After"]


async def test_without_a_setting_no_key_is_limited(sqlite_service: Service) -> None:
    assert {(await get(sqlite_service)).status_code for _ in range(100)} == {200}


ORIGIN = "https://dashboard.example"


async def test_without_a_setting_no_origin_may_call(sqlite_service: Service) -> None:
    answer = await get(sqlite_service, Origin=ORIGIN)
    assert not [name for name in answer.headers if name.startswith("access-control")]
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
    answer = await sqlite_service.client.options("/traces", headers=asked)
    assert answer.status_code == 405
    assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_the_origins_that_are_set_may_call_and_no_others(
    sqlite_url: str, settings: Settings
) -> None:
    opened = settings.model_copy(update={"cors_origins": f"https://a.example, {ORIGIN}"})
    async for service in serve(sqlite_url, opened):
        for origin, allowed in ((ORIGIN, ORIGIN), ("https://evil.example", None)):
            answer = await get(service, Origin=origin)
            assert answer.headers.get("Access-Control-Allow-Origin") == allowed
            asked = {
                "Origin": origin,
                "Access-Control-Request-Method": "PATCH",
                "Access-Control-Request-Headers": "authorization,x-project-name",
            }
            answer = await service.client.options("/traces", headers=asked)
            assert answer.headers.get("Access-Control-Allow-Origin") == allowed
            assert answer.status_code == (200 if allowed else 400)
            assert "Access-Control-Allow-Credentials" not in answer.headers
        refused = await get(service, Origin=ORIGIN, Authorization="Bearer wrong")
        assert refused.status_code == 401
        assert refused.headers["Access-Control-Allow-Origin"] == ORIGIN

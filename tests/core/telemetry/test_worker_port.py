import httpx
import pytest
from prometheus_client import CollectorRegistry, Gauge

from core.errors import Misconfigured
from core.telemetry.worker_port import SdkMeasures, exposed, measured_runtime
from tests.ports import free_port


@pytest.fixture(scope="module")
def sdk() -> SdkMeasures:
    return measured_runtime()


def serves() -> None:
    """The fault of a worker without one."""


def registry(name: str) -> CollectorRegistry:
    made = CollectorRegistry()
    Gauge(name, "For this test.", registry=made).set(7)
    return made


async def test_one_port_exposes_the_worker_s_measures_and_those_of_the_sdk(
    sdk: SdkMeasures,
) -> None:
    port = free_port()
    sdk.runtime.metric_meter.create_counter("of_the_sdk").add(3)
    registries = [registry("one"), registry("two")]
    async with (
        exposed("127.0.0.1", port, registries, sdk, serves),
        httpx.AsyncClient(trust_env=False) as client,
    ):
        answer = await client.get(f"http://127.0.0.1:{port}/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    assert {"one 7.0", "two 7.0"} <= set(lines)
    assert [line for line in lines if line.startswith("of_the_sdk_total{") and line.endswith(" 3")]


async def test_a_port_in_use_is_named_with_its_setting(sdk: SdkMeasures) -> None:
    async with exposed("127.0.0.1", port := free_port(), [], sdk, serves):
        with pytest.raises(Misconfigured, match=f"port {port} .* ASSAY_TELEMETRY_PORT"):
            async with exposed("127.0.0.1", port, [], sdk, serves):
                pass


async def test_a_runtime_that_gives_no_measures_leaves_the_worker_s_own(sdk: SdkMeasures) -> None:
    gone = SdkMeasures(sdk.runtime, port=free_port())
    async with (
        exposed("127.0.0.1", port := free_port(), [registry("one")], gone, serves),
        httpx.AsyncClient(trust_env=False) as client,
    ):
        answer = await client.get(f"http://127.0.0.1:{port}/metrics")
    assert answer.status_code == 200
    assert answer.text.splitlines()[-1] == "one 7.0"


async def test_health_is_what_the_worker_knows_about_itself(sdk: SdkMeasures) -> None:
    faults: list[str | None] = ["The worker starts or stops.", None]
    async with (
        exposed("127.0.0.1", port := free_port(), [], sdk, lambda: faults.pop(0)),
        httpx.AsyncClient(trust_env=False) as client,
    ):
        first, second = [await client.get(f"http://127.0.0.1:{port}/health") for _ in range(2)]
    assert first.status_code == 503
    assert first.json() == {"status": "unavailable", "reason": "The worker starts or stops."}
    assert (second.status_code, second.json()) == (200, {"status": "ok"})

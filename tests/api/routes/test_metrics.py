"""Available metrics, and available judges."""

from api.routes.metrics import MetricName, ProviderBody
from core.model_names import provider_of
from tests.api.conftest import Service, provider


async def test_metrics_are_listed_by_name(sqlite_service: Service) -> None:
    for category in ("trace", "session"):
        answer = await sqlite_service.client.get(f"/evaluations/{category}-metrics")
        found = [MetricName.model_validate(item, extra="forbid") for item in answer.json()]
        assert [metric.name for metric in found] == sorted(metric.name for metric in found)
        assert {metric.category for metric in found} <= {category}
        assert all(metric.description for metric in found)
    names = {item["name"] for item in (
        await sqlite_service.client.get("/evaluations/trace-metrics")).json()}  # fmt: skip
    assert {"task_completion", "tool_correctness", "step_efficiency"} <= names
    assert "loop_detection" not in names


async def test_providers_are_what_the_workers_offer(service: Service) -> None:
    assert (await service.client.get("/evaluations/providers")).json() == []
    missing = provider("anthropic", available=False, message="ANTHROPIC_API_KEY is not set")
    await service.publish(provider("openai"), missing)
    answer = await service.client.get("/evaluations/providers")
    found = [ProviderBody.model_validate(item, extra="forbid") for item in answer.json()]
    assert [(one.key, one.available) for one in found] == [("anthropic", False), ("openai", True)]
    assert found[0].message == "ANTHROPIC_API_KEY is not set"


async def test_gemini_is_listed_under_both_of_its_names(sqlite_service: Service) -> None:
    await sqlite_service.publish(provider("gemini"))
    listed = (await sqlite_service.client.get("/evaluations/providers")).json()
    assert {one["key"]: one["available"] for one in listed} == {
        "gemini": True,
        "google_genai": True,
    }
    assert provider_of("google_genai/gemini-3-pro", {"gemini"}) == ("gemini", "gemini-3-pro")

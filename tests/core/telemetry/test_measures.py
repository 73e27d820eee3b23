import pytest

from core.telemetry import measures
from core.telemetry.measures import (
    MAX_MODELS,
    OTHER,
    BoundedLabels,
    CallOutcome,
    bounded_model,
    measured_call,
)
from core.usage import Usage


def value(name: str, **labels: str) -> float:
    return measures.REGISTRY.get_sample_value(name, labels) or 0.0


def test_a_label_has_a_limited_number_of_values() -> None:
    bounded = BoundedLabels(2)
    assert [bounded(name) for name in ("a", "b", "c", "a", "d")] == ["a", "b", OTHER, "a", OTHER]


@pytest.mark.parametrize("test", ["first", "second"])
def test_each_test_finds_all_labels_of_models_free(test: str) -> None:
    names = [f"{test} {number}" for number in range(MAX_MODELS)]
    assert [bounded_model(name) for name in names] == names


def test_a_call_is_timed_and_counted_by_its_outcome() -> None:
    labels = {"provider": "timed", "model": "m"}
    with measured_call("timed", "timed/m") as call:
        call.outcome = CallOutcome.ANSWERED
    with pytest.raises(KeyboardInterrupt), measured_call("timed", "timed/m"):
        raise KeyboardInterrupt
    assert value("assay_judge_call_duration_seconds_count", **labels) == 2
    assert value("assay_judge_calls_total", outcome="answered", **labels) == 1
    assert value("assay_judge_calls_total", outcome="canceled", **labels) == 1


def test_failures_are_counted_from_zero_on() -> None:
    """Prometheus sees no increase in a counter whose first sample is 1."""
    shown = measures.REGISTRY.get_sample_value
    for status in ("COMPLETED", "FAILED"):
        assert shown("assay_runs_ended_total", {"status": status}) is not None
    failed = {"cause": "unusable answer", "model": "new/model"}
    assert shown("assay_pairs_failed_total", failed) is None
    measures.show_failures("new/model")
    assert shown("assay_pairs_failed_total", failed) == 0


def test_usage_counts_tokens_and_cost_and_calls_without_a_price() -> None:
    labels = {"provider": "used", "model": "m"}
    measures.count_usage("used", "used/m", Usage(1, 0, 100, 20, 0.5))
    measures.count_usage("used", "m", Usage(calls=1, prompt_tokens=1, cost_usd=None))
    assert value("assay_judge_tokens_total", kind="prompt", **labels) == 101
    assert value("assay_judge_tokens_total", kind="completion", **labels) == 20
    assert value("assay_judge_cost_usd_total", **labels) == 0.5
    assert value("assay_judge_calls_without_price_total", **labels) == 1

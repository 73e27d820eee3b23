import sys
from pathlib import Path
from types import ModuleType

import pytest

from core.errors import Invalid
from evals import catalog
from evals.metric import TraceMetric

PROMISED = (
    "argument_correctness", "coherence", "confidence", "plan_adherence", "plan_quality",
    "step_efficiency", "task_completion", "tool_correctness",
)  # fmt: skip


def test_lists_what_the_product_promises_sorted_by_name() -> None:
    names = [metric.name for metric in catalog.trace_metrics()]
    assert names == sorted(names)
    assert set(PROMISED) <= set(names)
    assert {metric.name for metric in catalog.session_metrics()} >= {
        "agent_consistency",
        "agent_reliability",
    }


@pytest.mark.parametrize("name", PROMISED)
def test_what_comes_with_the_product_can_be_judged_offline(name: str) -> None:
    assert catalog.trace_metric(name).offline


def test_an_unknown_metric_is_named_and_the_known_ones_listed() -> None:
    with pytest.raises(Invalid) as caught:
        catalog.trace_metric("task_completed")
    assert "'task_completed'" in caught.value.message
    assert "argument_correctness, coherence" in caught.value.message
    assert "loop_detection" not in caught.value.message


def test_loop_detection_serves_sessions_only() -> None:
    assert catalog.signal_metric("loop_detection").window == 3
    with pytest.raises(Invalid):
        catalog.trace_metric("loop_detection")
    with pytest.raises(Invalid):
        catalog.signal_metric("nothing")
    with pytest.raises(Invalid, match="agent_consistency, agent_reliability"):
        catalog.session_metric("nothing")


def test_session_metrics_are_found_by_name() -> None:
    assert all(catalog.session_metric(one.name) is one for one in catalog.session_metrics())


def test_a_metric_is_found_by_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(
        "from dataclasses import replace\n"
        "from evals.catalog import trace_metric\n"
        "METRIC = replace(trace_metric('coherence'), name='mine')\n"
    )
    assert list(discovered(tmp_path, monkeypatch)) == ["mine"]


def test_two_metrics_of_one_name_and_a_file_without_one_fail_at_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = "from evals.catalog import trace_metric\nMETRIC = trace_metric('coherence')\n"
    (tmp_path / "one.py").write_text(body)
    (tmp_path / "two.py").write_text(body)
    with pytest.raises(TypeError, match="Two metrics of made_metrics are named 'coherence'"):
        discovered(tmp_path, monkeypatch)
    (tmp_path / "two.py").write_text("METRIC = None\n")
    with pytest.raises(TypeError, match=r"made_metrics\.two defines no METRIC"):
        discovered(tmp_path, monkeypatch)


def discovered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, TraceMetric]:
    package = ModuleType("made_metrics")
    package.__path__ = [str(folder)]
    for name in [name for name in sys.modules if name.startswith("made_metrics")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "made_metrics", package)
    kind = TraceMetric  # abstract, and only for isinstance
    return catalog.discovered(package.__path__, "made_metrics", kind)  # type: ignore[type-abstract]

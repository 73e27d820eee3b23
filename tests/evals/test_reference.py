from pathlib import Path

from evals import reference

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_the_metric_reference_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference.text(), (
        "docs/metrics.md is stale: run `make metrics`"
    )

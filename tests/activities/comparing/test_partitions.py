from collections.abc import Callable
from uuid import uuid4

import pytest

from activities.comparing import partitions
from activities.comparing.gathering import Gathered
from activities.comparing.partitions import Partitions
from core.pairing import KeyedScore


def scores(count: int, number: Callable[[int], float | None]) -> list[tuple[str, KeyedScore]]:
    """Scores of sessions of ten items. Some keys hold text that encodings may break."""
    return [
        (
            "task_completion",
            KeyedScore(uuid4(), f"k{n}\n\ud800é", f"session {n // 10}", n % 7 == 0, number(n)),
        )
        for n in range(count)
    ]


def gathered(sides: list[list[tuple[str, KeyedScore]]]) -> tuple[Gathered, int]:
    found, parts = Gathered(0.5), 0
    with Partitions(sum(len(side) for side in sides)) as kept:
        for side, of_side in enumerate(sides):
            kept.add(side, of_side)
        for part in kept.parts():
            parts += 1
            found.add(*([one for at, _, one in part if at == side] for side in (0, 1)))
    return found, parts


def test_parts_on_disk_give_what_one_part_in_memory_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    sides = [
        scores(200, lambda n: None if n % 11 == 0 else n / 200),
        scores(190, lambda n: (n * 7 % 200) / 200),
    ]
    whole, one = gathered(sides)
    monkeypatch.setattr(partitions, "SCORES_PER_PART", 30)
    in_parts, many = gathered(sides)
    assert (one, many) == (1, 13)
    assert in_parts.lists() == whole.lists()
    for name in ("pairs", "wins", "ties", "losses", "passed_both", "passed_only_candidate"):
        assert getattr(in_parts.tally, name) == getattr(whole.tally, name), name
    assert sorted(in_parts.tally.cluster_sums) == pytest.approx(sorted(whole.tally.cluster_sums))
    assert len(in_parts.tally.cluster_sums) == 19, "no session is split between parts"

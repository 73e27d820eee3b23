from dataclasses import dataclass


@dataclass(frozen=True)
class OpenTarget:
    """A target of a run and its metrics that have no score yet.

    `failed`: how many of the other metrics FAILED.
    """

    target_id: str
    metrics: list[str]
    failed: int

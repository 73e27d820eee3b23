from datetime import UTC, datetime, timedelta


def now() -> datetime:
    """The wall clock, aware, in UTC. Workflow code uses `workflow.now` instead."""
    return datetime.now(UTC)


def seconds_ago(seconds: float) -> datetime:
    return now() - timedelta(seconds=seconds)

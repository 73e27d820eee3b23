"""Due times of cron expressions, computed minute by minute, independently of Assay and Temporal."""

from collections.abc import Iterator
from datetime import datetime, timedelta

MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()  # noqa: SIM905 - a list is longer
WEEKDAYS = "sun mon tue wed thu fri sat".split()  # noqa: SIM905 - a list is longer


def strikes(cron: str, after: datetime) -> Iterator[datetime]:
    """Every later minute that matches all five fields; days without a match are skipped as a
    whole.
    """
    minutes, hours, days, months, weekdays = (
        allowed(field, low, high)
        for field, low, high in zip(
            cron.lower().split(), (0, 0, 1, 1, 0), (59, 23, 31, 12, 7), strict=True
        )
    )
    weekdays = {day % 7 for day in weekdays}
    day = after.replace(hour=0, minute=0, second=0, microsecond=0)
    while True:
        if day.day in days and day.month in months and day.isoweekday() % 7 in weekdays:
            for hour in sorted(hours):
                for minute in sorted(minutes):
                    moment = day + timedelta(hours=hour, minutes=minute)
                    if moment > after:
                        yield moment
        day += timedelta(days=1)


def allowed(field: str, low: int, high: int) -> set[int]:
    names = {12: {name: n for n, name in enumerate(MONTHS, 1)}, 7: dict(zip(WEEKDAYS, range(7)))}  # noqa: B905 - seven of each
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        if first == "*":
            start, end = low, high
        else:
            start = names.get(high, {}).get(first) if not first.isdigit() else int(first)  # type: ignore[assignment] # an unknown name fails below
            end = start
            if dash:
                end = names.get(high, {}).get(last) if not last.isdigit() else int(last)  # type: ignore[assignment] # likewise
            elif step:
                end = high
        found |= set(range(start, end + 1, int(step or 1)))
    return found

from datetime import timedelta

import pytest
from pydantic import TypeAdapter, ValidationError

from core.cron import Cadence, cron_of, period_of

CADENCE: TypeAdapter[str] = TypeAdapter(Cadence)


@pytest.mark.parametrize(
    ("cadence", "cron"),
    [
        ("every_6h", "0 */6 * * *"),
        ("daily", "0 0 * * *"),
        ("weekly", "0 0 * * 1"),
        ("cron:0 0 * * 1-7", "0 0 * * *"),
        ("cron:0 0 * * 1/1", "0 0 * * *"),
        ("cron:0 0 * * 5-7", "0 0 * * 0,5,6"),
        ("cron:0 0 * * 1/3", "0 0 * * 0,1,4"),
        ("cron:0 0 * * 7", "0 0 * * 0"),
        ("cron:0 0 * * 0-6", "0 0 * * 0-6"),
        ("cron:* * * * *", "* * * * *"),
        ("cron: 0   0\t1 1 * ", "0 0 1 1 *"),
        ("cron:0-59/5,7 0,12 1-31 jan-DEC Sun,2-7", "0-59/5,7 0,12 1-31 jan-DEC 0,2,3,4,5,6"),
        ("cron:5/15 00 */2 * */3", "5/15 00 */2 * */3"),
        ("cron:0 0 29 2 *", "0 0 29 2 *"),
        ("cron:0 0 31 2,3 *", "0 0 31 2,3 *"),
    ],
)
def test_a_good_cadence_becomes_five_fields(cadence: str, cron: str) -> None:
    assert CADENCE.validate_python(cadence) == cadence
    assert cron_of(cadence) == cron


@pytest.mark.parametrize(
    "cadence",
    [
        "", "hourly", "Daily", "daily ", "cron", "cron:", "0 0 * * *", "cron:@daily",
        "cron:@every 1h", "cron:* * * *", "cron:* * * * * *", "cron:0 * * * * * *",
        "cron:CRON_TZ=Europe/Berlin 0 0 * * *", "cron:60 * * * *", "cron:-1 * * * *",
        "cron:+1 * * * *", "cron:1.5 * * * *", "cron:٣ * * * *", "cron:000 * * * *",
        "cron:* 24 * * *", "cron:* * 0 * *", "cron:* * 32 * *", "cron:* * * 0 *",
        "cron:* * * 13 *", "cron:* * * * 8", "cron:* * * jann *", "cron:* * * * monday",
        "cron:jan * * * *", "cron:* * * mon *", "cron:* * * * jan",
        "cron:5-1 * * * *", "cron:* * * * 7-1", "cron:* * * * sat-sun", "cron:1- * * * *",
        "cron:-5 * * * *", "cron:1-2-3 * * * *", "cron:*/0 * * * *", "cron:*/60 * * * *",
        "cron:*/-2 * * * *", "cron:*/ * * * *", "cron:/5 * * * *", "cron:1/2/3 * * * *",
        "cron:** * * * *", "cron:*-5 * * * *", "cron:1,,2 * * * *", "cron:,1 * * * *",
        "cron:1, * * * *", "cron:? * * * *", "cron:* * ? * *", "cron:* * L * *",
        "cron:* * * * 1#2", "cron:* * 15W * *", "cron:H * * * *", "cron:~ * * * *",
        "cron:* * 31 2 *", "cron:* * 30-31 feb *", "cron:* * 31 4,6,9,11 *",
        "cron:* * * * *\x00", "cron:" + "1," * 150 + "1 * * * *",
    ],
)  # fmt: skip
def test_a_bad_cadence_is_refused(cadence: str) -> None:
    with pytest.raises(ValidationError):
        CADENCE.validate_python(cadence)


def test_the_reason_names_the_field() -> None:
    for cadence, reason in (
        ("cron:* 24 * * *", "hour '24' is not in 0-23"),
        ("cron:* * * * fri-mon", "weekday 'fri-mon' ends before it starts"),
        ("cron:*/90 * * * *", "minute has step '90', which is not in 1-59"),
        ("cron:* * 31 2 *", "names a day that none of its months has"),
        ("cron:* * *", "must have five fields"),
        ("noon", "must be one of every_6h, daily, weekly, or cron:"),
    ):
        with pytest.raises(ValueError, match="^" + reason.replace("*", r"\*")):
            cron_of(cadence)


@pytest.mark.parametrize(
    ("cadence", "period"),
    [
        ("every_6h", timedelta(hours=6)),
        ("daily", timedelta(days=1)),
        ("weekly", timedelta(days=7)),
        ("cron:0 9 * * mon,thu", timedelta(days=3)),
        ("cron:0 9 * * 0-7", timedelta(days=1)),
        ("cron:0 9 1 * mon", timedelta(days=1)),
        ("cron:0 9,10 * * mon", timedelta(hours=1)),
        ("cron:*/5 * * * *", timedelta(minutes=5)),
        ("cron:0,50 9 * * *", timedelta(minutes=10)),
        ("cron:30 8,20 * * *", timedelta(hours=12)),
        ("cron:30 9,17 * * *", timedelta(hours=8)),
    ],
)
def test_the_period_is_the_shortest_time_between_two_runs(cadence: str, period: timedelta) -> None:
    assert period_of(cadence) == period

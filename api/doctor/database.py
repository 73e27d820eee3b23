"""Checks of the database: can it be reached, written, and is it the one that this code needs?"""

from datetime import timedelta
from pathlib import Path
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from api.doctor.check_result import CheckResult, counted, fine, problem, warning
from core import clock, migrations
from core.db import dialect
from core.db.database import Database
from core.errors import Misconfigured
from core.queries import server_state, workers
from core.settings import Settings

DATABASE: Final = "database"
MIGRATIONS: Final = "migrations"
POOL: Final = "connections"
CLOCK: Final = "clock of the database"

BUSY_SHARE: Final = 0.8
MAX_SKEW: Final = timedelta(seconds=1)
BAD_SKEW: Final = timedelta(seconds=workers.SILENT_AFTER_SECONDS)


def missing_file(settings: Settings) -> CheckResult | None:
    """Looks before the database is opened, which would create the file."""
    url = dialect.parse_url(settings.database)
    name = url.database or ""
    if url.get_backend_name() != "sqlite" or name.startswith((":memory:", "file:")):
        return None
    if Path(name).exists():
        return None
    return problem(
        DATABASE,
        f"There is no database file {name}.",
        "Start `assay up` or an API, which makes it, or correct ASSAY_HOME or ASSAY_DATABASE_URL.",
    )


async def reach(database: Database) -> CheckResult:
    try:
        async with database.read() as db:
            await server_state.answers(db)
    except (SQLAlchemyError, OSError) as error:
        return problem(
            DATABASE,
            f"The database cannot be reached ({_kind(error)}).",
            "Start its server, or correct ASSAY_DATABASE_URL.",
        )
    return fine(DATABASE, "The database answers.")


async def schema(database: Database) -> CheckResult:
    try:
        await migrations.check(database)
    except Misconfigured as error:
        return problem(
            MIGRATIONS,
            error.message.split(". ")[0] + ".",
            "Run `python -m core.migrations` with the newest release. If the schema is newer than "
            "this code, update this installation.",
        )
    return fine(MIGRATIONS, "The schema is the one that this release needs.")


async def writing(database: Database) -> CheckResult:
    try:
        async with database.write() as db:
            await server_state.write_nothing(db)
    except (SQLAlchemyError, OSError) as error:
        return problem(
            DATABASE,
            f"The database can be read but not written ({_kind(error)}).",
            "Look for a full disk, a read-only replica, missing rights of the user, or another "
            "process that holds SQLite's write lock.",
        )
    return fine(DATABASE, "The database can be written.")


async def pool(database: Database, settings: Settings) -> CheckResult:
    async with database.read() as db:
        found = await server_state.connections(db)
        count = len(await workers.lives(db))
    if found is None:
        return fine(POOL, "SQLite has no limit on connections.")
    each = (settings.database_pool or dialect.POSTGRES_POOL) + dialect.OVERFLOW
    # The API is not registered anywhere; there is one at least.
    wanted = each * (count + 1)
    if found.in_use >= BUSY_SHARE * found.most:
        return problem(
            POOL,
            f"{found.in_use} of {found.most} connections of PostgreSQL are in use.",
            "Lower ASSAY_DATABASE_POOL, run fewer processes, or put pgbouncer in between.",
        )
    if wanted > found.most:
        return warning(
            POOL,
            f"One API and {counted(count, 'worker')} may open {wanted} connections, and PostgreSQL "
            f"allows {found.most}.",
            "Lower ASSAY_DATABASE_POOL, or raise max_connections.",
        )
    return fine(POOL, f"{found.in_use} of {found.most} connections of PostgreSQL are in use.")


async def clocks(database: Database) -> list[CheckResult]:
    async with database.read() as db:
        began = clock.now()
        moment = await server_state.now(db)
        skew = moment - (began + (clock.now() - began) / 2)
        ahead = [one for one in await workers.lives(db) if one.last_seen - clock.now() > MAX_SKEW]
    found = [clock_result(CLOCK, "the database's server", skew)]
    found += [
        clock_result("clocks of workers", f"worker {one.worker_id}", one.last_seen - clock.now())
        for one in ahead
    ]
    return found


def clock_result(check: str, whose: str, skew: timedelta) -> CheckResult:
    """`skew`: how far that clock is ahead of this one."""
    seconds = abs(skew.total_seconds())
    if abs(skew) <= MAX_SKEW:
        return fine(check, f"The clocks of this machine and of {whose} agree.")
    direction = "ahead of" if skew > timedelta(0) else "behind"
    sentence = f"The clock of {whose} is {seconds:.1f} s {direction} the clock of this machine."
    remedy = (
        "Run a time service (chrony, systemd-timesyncd) on all machines: workers count as stopped "
        f"after {workers.LOST_AFTER_SECONDS:.0f} s without a sign of life."
    )
    return (problem if abs(skew) > BAD_SKEW else warning)(check, sentence, remedy)


def _kind(error: Exception) -> str:
    return type(getattr(error, "orig", None) or error).__name__

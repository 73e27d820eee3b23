import asyncio

from core import migrations
from core.db.database import Database
from core.settings import Settings


async def main() -> None:
    database = Database(Settings().database)
    await migrations.upgrade(database)
    await database.close()


asyncio.run(main())

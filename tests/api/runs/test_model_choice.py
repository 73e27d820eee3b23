"""Which models a run may name."""

import pytest

from api.runs import model_choice
from core import clock
from core.db.database import Database
from core.errors import Invalid
from core.provider_status import ProviderStatus
from core.queries import workers


async def test_a_model_is_checked_against_what_the_workers_offer(database: Database) -> None:
    async with database.write() as db:
        model_choice.check_offered(
            await workers.offered(db), "nobody/knows"
        )  # all models pass, because no worker was seen
        await workers.publish(
            db,
            worker_id="w1",
            started_at=clock.now(),
            default_model="openai/gpt-5",
            providers=[
                ProviderStatus("openai", "OpenAI", "", True, "OPENAI_API_KEY is set."),
                ProviderStatus("anthropic", "Anthropic", "", False, "Set ANTHROPIC_API_KEY."),
            ],
        )
    async with database.read() as db:
        assert (await workers.offered(db)).default_model == "openai/gpt-5"
        model_choice.check_offered(await workers.offered(db), "openai/gpt-5-mini")
        model_choice.check_offered(await workers.offered(db), "gpt-5")
        with pytest.raises(Invalid, match="ANTHROPIC_API_KEY"):
            model_choice.check_offered(await workers.offered(db), "claude-sonnet-5")
        with pytest.raises(Invalid, match="anthropic, openai"):
            model_choice.check_offered(await workers.offered(db), "nobody/knows")

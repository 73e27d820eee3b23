"""Checks of the workers, of the keys that they have for providers, and of what tracers send."""

from typing import Final

from api.doctor.check_result import CheckResult, counted, fine, problem, warning
from core import clock
from core.db.database import Database
from core.queries import models_in_use, silent_traces, workers
from core.queries.silent_traces import SilentTracer
from core.queries.workers import Offer
from core.settings import Settings
from evals.judges.offline import OFFLINE_MODEL
from evals.transcript.content import remedy_for

WORKERS: Final = "workers"
KEYS: Final = "provider keys"
TRACERS: Final = "tracers"

DAY_SECONDS: Final = 24 * 3600.0


async def presence(database: Database) -> CheckResult:
    async with database.read() as db:
        alive = await workers.lives(db)
        polling = await workers.seen_lately(db)
    now = clock.now()
    loud = [one for one in alive if not one.is_silent(now)]
    if not loud:
        return problem(
            WORKERS,
            "No worker is running: traces are stored, and runs wait.",
            "Start one: `assay up`, or `python worker.py` with the same ASSAY_DATABASE_URL.",
        )
    deaf = sorted({one.worker_id for one in loud} - {one.id for one in polling})
    if deaf:
        return problem(
            WORKERS,
            f"Temporal does not hear from {', '.join(deaf)}.",
            "Give these workers the same TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE and "
            "ASSAY_TASK_QUEUE as the API, then restart them.",
        )
    return fine(WORKERS, f"{counted(len(loud), 'worker')} running.")


async def keys(database: Database, settings: Settings) -> list[CheckResult]:
    """Of the models of unfinished runs, of active monitors, of the settings and of new runs."""
    async with database.read() as db:
        offer = await workers.offered(db)
        used = await models_in_use.find(db)
    if not offer.seen:
        return []  # Without workers nobody knows; that is a result of its own.
    used |= {model for model in (offer.default_model, settings.judge_model) if model}
    used |= {name for name in _named(settings.judge_models) if not name.endswith("*")}
    found = [_key(model, offer) for model in sorted(used - {OFFLINE_MODEL})]
    troubles = [result for result in found if result is not None]
    if troubles:
        return troubles
    if offer.default_model == OFFLINE_MODEL:
        return [
            warning(
                KEYS,
                f"New runs are judged by {OFFLINE_MODEL}, a baseline and not a verdict.",
                "Set the key of a provider, such as OPENAI_API_KEY, in the environment of the "
                "workers.",
            )
        ]
    return [fine(KEYS, f"The workers have a key for {counted(len(found), 'model')} in use.")]


def _named(models: str | None) -> list[str]:
    return [name.strip() for name in (models or "").split(",") if name.strip()]


def _key(model: str, offer: Offer) -> CheckResult | None:
    provider = offer.provider_of(model)
    if provider is None:
        return problem(
            KEYS,
            f"No provider is known for the model {model[:100]!r}, which runs or settings name.",
            "Correct the name: `provider/model`, as LiteLLM writes it.",
        )
    if provider.available:
        return None
    return problem(
        KEYS,
        f"No worker can ask {model[:100]!r}, which runs, monitors or settings name.",
        provider.message,
    )


async def tracers(database: Database) -> list[CheckResult]:
    async with database.read() as db:
        silent = await silent_traces.find(db, since=clock.seconds_ago(DAY_SECONDS))
    if not silent:
        return [fine(TRACERS, "The newest traces of the last day carry text.")]
    return [_silent(tracer) for tracer in silent]


def _silent(tracer: SilentTracer) -> CheckResult:
    sender = f"the tracer {tracer.scope[:100]!r}" if tracer.scope else "a tracer"
    return warning(
        TRACERS,
        f"{tracer.silent} of the {tracer.looked_at} newest traces in project "
        f"{tracer.project[:100]!r} came from {sender} without any text to judge.",
        remedy_for(tracer.scope),
    )

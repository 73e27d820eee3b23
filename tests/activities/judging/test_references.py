"""The references of coherence: inputs of other sessions of the same project."""

from typing import Any

import pytest

from activities.judging import references
from activities.judging.pair import Pair
from activities.judging.references import CoherenceReferences
from core.db.database import Database
from core.ids import ProjectId, TargetType
from core.queries import session_texts
from evals.signals import COHERENCE_REFERENCE, MIN_UNRELATED
from tests.conftest import make_project
from tests.factories import new_run, store_traces
from tests.fakes import FakeEmbedder

SAME = "my parcel left berlin this morning"
OTHER = "please cancel the hotel"


def pair(project_id: ProjectId) -> Pair:
    spec = new_run(project_id, target_type=TargetType.SESSION).spec
    return Pair(spec, "s", "agent_reliability")


async def reference(database: Database, project_id: ProjectId, **trace: Any) -> float:
    [own] = await store_traces(database, project_id, 1, session_id="s", **trace)
    found = await CoherenceReferences(database).of(pair(project_id), [own], FakeEmbedder())
    return found[own]


async def test_with_few_other_inputs_the_reference_is_fixed(
    database: Database, project_id: ProjectId
) -> None:
    await store_traces(database, project_id, MIN_UNRELATED - 1, input=SAME)
    assert await reference(database, project_id, output=SAME) == COHERENCE_REFERENCE


async def test_with_enough_the_reference_is_how_similar_they_are(
    database: Database, project_id: ProjectId
) -> None:
    await store_traces(database, project_id, MIN_UNRELATED, input=SAME, session_id="other")
    assert await reference(database, project_id, output=SAME) == pytest.approx(1.0)
    assert await reference(database, project_id, output=OTHER) < 0.5


async def test_the_session_itself_other_projects_and_very_long_inputs_do_not_count(
    database: Database, project_id: ProjectId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_texts, "MAX_TEXT", 1_000)
    await store_traces(database, project_id, MIN_UNRELATED, input=SAME, session_id="s")
    await store_traces(database, project_id, MIN_UNRELATED, input=SAME * 100)
    await store_traces(database, await make_project(database, "another"), MIN_UNRELATED, input=SAME)
    assert await reference(database, project_id, output=SAME) == COHERENCE_REFERENCE


async def test_a_trace_without_an_output_keeps_the_fixed_reference(
    database: Database, project_id: ProjectId
) -> None:
    await store_traces(database, project_id, MIN_UNRELATED, input=SAME)
    assert await reference(database, project_id, output=None) == COHERENCE_REFERENCE


async def test_long_sessions_are_read_in_pages(
    database: Database, project_id: ProjectId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(references, "_OUTPUTS_AT_ONCE", 2)
    await store_traces(database, project_id, MIN_UNRELATED, input=SAME)
    own = await store_traces(database, project_id, 5, session_id="s", output=SAME)
    found = await CoherenceReferences(database).of(pair(project_id), own, FakeEmbedder())
    assert [found[one] for one in own] == [pytest.approx(1.0)] * 5

"""Notices, once per scope and hour, about tracers that export no prompts and answers."""

from collections.abc import Iterable
from typing import Final

from cachetools import TTLCache

from api.otlp.spans import SCOPE
from core.ids import ProjectId, SpanKind
from core.trace_input import SpanDerivedTrace
from evals.transcript.content import remedy_for

_HOUR_SECONDS: Final = 3600
_MAX_REMEMBERED: Final = 10_000
_SPEAKING: Final = frozenset((SpanKind.LLM, SpanKind.TOOL))
_LOGS: Final = "log records"


class ContentNotices:
    def __init__(self) -> None:
        self._told: TTLCache[tuple[ProjectId, str], bool] = TTLCache(_MAX_REMEMBERED, _HOUR_SECONDS)

    def saw_logs(self, project_id: ProjectId) -> None:
        """Records that the project sends messages as log records, so that spans without messages
        are fine.
        """
        self._told[project_id, _LOGS] = True

    def notice(self, project_id: ProjectId, traces: Iterable[SpanDerivedTrace]) -> str:
        """The notice about silent scopes that were not reported within the hour; empty without such
        scopes.
        """
        if (project_id, _LOGS) in self._told:
            return ""
        sentences = []
        for scope in _silent_scopes(traces):
            if (project_id, scope) not in self._told:
                self._told[project_id, scope] = True
                sentences.append(
                    f"Spans of the scope {scope!r} carry no prompts and answers, so there is "
                    f"nothing to judge in them. {remedy_for(scope)}"
                )
        return " ".join(sentences)


def _silent_scopes(traces: Iterable[SpanDerivedTrace]) -> list[str]:
    """Scopes with spans of models or tools, none of which has content."""
    has_content: dict[str, bool] = {}
    for trace in traces:
        for span in trace.spans:
            scope = str(span.metadata.get(SCOPE, ""))
            # The setting is unknown without the tracer's name.
            if scope and span.kind in _SPEAKING:
                spoke = span.input is not None or span.output is not None
                has_content[scope] = has_content.get(scope, False) or spoke
    return [scope for scope, spoke in has_content.items() if not spoke]

"""Traces that attack the page, opened in a real browser."""

from urllib.parse import quote

import pytest

from tests.factories import span_body
from tests.web.conftest import ProjectOnSite

pytestmark = pytest.mark.web

_SCRIPTS = (
    "<script>window.taken = 1</script>"
    "<svg onload='window.taken = 1'><image href=x onerror='window.taken = 1'></svg>"
    "<img src=x onerror='window.taken = 1'>"
    "<style>body { display: none }</style>"
    "\"'></textarea><iframe src=javascript:parent.taken=1></iframe>{{ 7 * 7 }}"
)
_TERMINAL = "\x1b[31mred\x1b[0m\x07\x08"
_REORDERING = "user \u202e resu \u2066 x \u2069\u200f"
_LONG_LINE = "x" * 1_000_000


async def test_hostile_contents_stay_text(project: ProjectOnSite) -> None:
    hostile = _SCRIPTS + _TERMINAL + _REORDERING
    trace_id = await project.send(
        name=hostile[:500],
        input=hostile,
        output=_LONG_LINE,
        session_id="s" + _SCRIPTS[:200],
        user_id=_SCRIPTS[:200],
        tags=[_SCRIPTS[:200]],
        environment=_SCRIPTS[:200],
        metadata={_SCRIPTS: _SCRIPTS},
        spans=[
            span_body(name=_SCRIPTS, kind="TOOL", input=hostile, output=_LONG_LINE),
            span_body(name=_REORDERING, kind="TOOL", input=_TERMINAL, error=hostile),
        ],
    )
    run = await project.run(metrics=["step_efficiency", "coherence"], name=hostile[:500])
    await project.judged(run)
    headers = {"Authorization": f"Bearer {project.key}"}
    scores = await project.site.assay.api.get(
        f"/evaluations/trace-runs/{run['id']}/scores", headers=headers
    )
    other = await project.run(metrics=["step_efficiency"], name=hostile[:500])
    await project.judged(other)
    compared = f"/compare?a={run['id']}&b={other['id']}"
    paths = [
        *(compared, f"{compared}&key={quote(_SCRIPTS)}", "/compare", f"/compare?a={run['id']}"),
        *("", "/runs", "/traces", "/sessions", "/scores", f"/runs/{run['id']}"),
        *(f"/traces/{trace_id}", f"/traces/{trace_id}?view=spans"),
        *(f"/traces/{trace_id}?view=judge", f"/traces/{trace_id}?step=1"),
        *(f"/scores/{one['id']}" for one in scores.json()),
        *("/runs/new", "/search?q=script"),
    ]
    async with project.visit() as page:
        for path in paths:
            answer = await page.goto(project.root + path)
            assert answer is not None
            assert answer.status == 200, path
            assert await page.evaluate("window.taken") is None, path
            body = await page.locator("body").inner_text()
            assert "\u202e" not in body, path
            assert "\x1b" not in body, path
            assert await page.locator("main iframe, main img, main style").count() == 0, path
            width = "document.documentElement.scrollWidth - innerWidth"
            assert await page.evaluate(width) <= 0, path

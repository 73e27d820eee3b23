"""Every page in both themes and on a small screen: readable, reachable, without overflow."""

from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from tests.web.conftest import SCREENSHOTS, ProjectOnSite

pytestmark = pytest.mark.web

_SIZES: dict[str, Any] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1440, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1440, "height": 900}},
    "small": {"color_scheme": "light", "viewport": {"width": 390, "height": 844}},
    # The width that a screen of 1440 pixels has at 200 %.
    "zoomed": {"viewport": {"width": 720, "height": 450}, "device_scale_factor": 2},
}
_MAX_SHIFT = 0.01
_WATCH_SHIFTS = """
window.shifts = []
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    if (entry.hadRecentInput) continue
    const moved = entry.sources.map((one) => one.node?.outerHTML?.slice(0, 120) ?? "?")
    window.shifts.push({ value: entry.value, moved })
  }
}).observe({ type: "layout-shift", buffered: true })
"""
_RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}


def _pages(run: str, other: str, score: str, trace: str, monitor: str) -> dict[str, str]:
    return {
        "overview": "",
        "runs": "/runs",
        "runs-none": "/runs?name=no-such-run",
        "run": f"/runs/{run}",
        "run-steps": f"/runs/{run}?by=steps",
        "run-delete": f"/runs/{run}/delete",
        "compare": f"/compare?a={run}&b={other}",
        "compare-flip": f"/compare?a={run}&b={other}&o=flip",
        "compare-items": f"/compare/items?a={run}&b={other}&o=lost",
        "compare-refused": f"/compare?a={run}&b={other}&key=color",
        "compare-choice": "/compare",
        "compare-second": f"/compare?a={run}",
        "new-run": "/runs/new",
        "new-run-sessions": "/runs/new?target=SESSION",
        "scores": f"/scores?run={run}",
        "score": f"/scores/{score}?finding=W1",
        "score-as-judge": f"/scores/{score}?view=judge",
        "traces": "/traces",
        "trace": f"/traces/{trace}",
        "trace-spans": f"/traces/{trace}?view=spans",
        "sessions": "/sessions",
        "session": "/sessions/s-1",
        "monitors": "/monitors",
        "monitor": f"/monitors/{monitor}",
        "monitor-edit": f"/monitors/{monitor}/edit",
        "metrics": "/metrics",
        "metric": "/metrics/task_completion",
        "judges": "/judges",
        "settings": "/settings",
        "search": "/search?q=Release",
    }


async def worse_run(project: ProjectOnSite) -> str:
    """A second run over the project's traces, two scores of which a person has set to 0."""
    metrics = ["task_completion", "tool_correctness", "step_efficiency"]
    run = await project.run(metrics=metrics, name="Release 49")
    await project.judged(run)
    headers = {"Authorization": f"Bearer {project.key}"}
    api = project.site.assay.api
    scores = (await api.get(f"/evaluations/trace-runs/{run['id']}/scores", headers=headers)).json()
    of_completion = [one for one in scores if one["name"] == "task_completion"]
    for score in of_completion[:2]:
        path = f"/evaluations/trace-scores/{score['id']}"
        answer = await api.patch(path, headers=headers, json={"value": "0"})
        assert answer.is_success, answer.text
    return str(run["id"])


@pytest.mark.parametrize("size", list(_SIZES))
async def test_every_page_is_accessible_and_fits(
    judged_project: tuple[ProjectOnSite, dict[str, Any]], size: str
) -> None:
    project, run = judged_project
    headers = {"Authorization": f"Bearer {project.key}"}
    api = project.site.assay.api
    scores = (await api.get(f"/evaluations/trace-runs/{run['id']}/scores", headers=headers)).json()
    score = next(one for one in scores if one["name"] == "task_completion")
    monitor = await api.post(
        "/evaluations/monitors",
        headers=headers,
        json={
            "name": "nightly",
            "target_type": "TRACE",
            "metrics": ["task_completion"],
            "cadence": "daily",
        },
    )
    other = await worse_run(project)
    pages = _pages(run["id"], other, score["id"], score["trace_id"], monitor.json()["id"])
    SCREENSHOTS.mkdir(exist_ok=True)
    problems: list[str] = []
    async with project.visit(**_SIZES[size]) as page:
        await page.add_init_script(_WATCH_SHIFTS)
        for name, path in pages.items():
            await page.goto(project.root + path)
            await expect(page.locator("[data-fragment]")).to_have_count(0)
            problems += [f"{name}: {one}" for one in await _shifts(page)]
            problems += [f"{name}: {one}" for one in await _problems(page)]
            await page.screenshot(path=SCREENSHOTS / f"{name}-{size}.png", full_page=True)
    assert not problems, "\n".join(problems)


async def _shifts(page: Page) -> list[str]:
    """The layout shifts during loading that are large enough to count."""
    # After two frames the page has drawn all of its own changes.
    await page.evaluate("new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)))")
    shifts = await page.evaluate("window.shifts")
    if sum(one["value"] for one in shifts) < _MAX_SHIFT:
        return []
    return [f"moved by {one['value']:.3f}: {'; '.join(one['moved'])}" for one in shifts]


@pytest.mark.parametrize("size", ["light", "small"])
async def test_what_follows_a_page_moves_nothing(
    judged_project: tuple[ProjectOnSite, dict[str, Any]], impatient: str, size: str
) -> None:
    project, run = judged_project
    pages = (
        *("", f"/runs/{run['id']}", "/traces", f"/scores?run={run['id']}", "/metrics"),
        *("/sessions", "/settings", "/search?q=Release", "/runs/new?metric=task_completion"),
    )
    problems: list[str] = []
    async with project.visit(base_url=impatient, **_SIZES[size]) as page:
        await page.add_init_script(_WATCH_SHIFTS)
        for path in pages:
            await page.goto(project.root + path)
            await expect(page.locator("[data-fragment]")).to_have_count(0)
            problems += [f"{path}: {one}" for one in await _shifts(page)]
            problems += [f"{path}: {one}" for one in await _problems(page)]
    assert not problems, "\n".join(problems)


async def test_keys_that_come_before_the_page_work_once_it_is_there(
    judged_project: tuple[ProjectOnSite, dict[str, Any]], impatient: str
) -> None:
    project, run = judged_project
    async with project.visit(base_url=impatient) as page:
        await page.goto(f"{project.root}/scores?run={run['id']}", wait_until="commit")
        await page.locator("main[data-fragment]").or_(page.locator("tr[data-row]")).first.wait_for()
        await page.keyboard.press("j")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/scores/*")


async def test_a_run_prints_without_what_only_a_screen_needs(
    judged_project: tuple[ProjectOnSite, dict[str, Any]],
) -> None:
    project, run = judged_project
    async with project.visit(viewport={"width": 794, "height": 1123}) as page:
        await page.goto(f"{project.root}/runs/{run['id']}")
        await page.emulate_media(media="print", color_scheme="dark")
        for screen_only in ("header.bar", "footer.foot", ".head .do"):
            assert not await page.locator(screen_only).is_visible(), screen_only
        assert await page.get_by_role("heading", name="Release 48").is_visible()
        assert await _pixels_too_wide(page) <= 0
        background = await page.evaluate(
            "getComputedStyle(document.documentElement).backgroundColor"
        )
        assert background == "rgb(255, 255, 255)"
        assert (await page.pdf(format="A4")).startswith(b"%PDF")


async def _pixels_too_wide(page: Page) -> int:
    wide: int = await page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    return wide


async def _problems(page: Page) -> list[str]:
    wide = await _pixels_too_wide(page)
    found = [f"{wide} pixels wider than the screen"] if wide > 0 else []
    results = await Axe().run(page, options=_RULES)
    for one in results.response["violations"]:
        places = "; ".join(node["html"][:160] for node in one["nodes"][:3])
        found.append(f"{one['id']}: {places}")
    return found


async def test_pages_of_who_is_not_signed_in(project: ProjectOnSite) -> None:
    context = await project.site.browser.new_context(base_url=project.site.address)
    page = await context.new_page()
    await page.goto(f"{project.root}/runs")
    assert page.url.endswith("next=" + f"{project.root}/runs".replace("/", "%2F"))
    problems = await _problems(page)
    assert not problems, "\n".join(problems)
    await page.screenshot(path=SCREENSHOTS / "sign-in.png", full_page=True)
    await context.close()


async def test_the_first_minute_is_accessible(project: ProjectOnSite) -> None:
    async with project.visit() as page:
        assert await _problems(page) == []
        SCREENSHOTS.mkdir(exist_ok=True)
        await page.screenshot(path=SCREENSHOTS / "first-minute.png", full_page=True)

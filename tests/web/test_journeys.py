"""The path of a person from the first trace to the faulty step."""

import pytest
from playwright.async_api import expect

from tests.judge_server import Request, Step, rate_limited
from tests.web.conftest import ProjectOnSite, Site
from tests.web.test_looks import worse_run

pytestmark = pytest.mark.web


async def test_from_the_first_minute_to_the_first_score(project: ProjectOnSite) -> None:
    async with project.visit() as page:
        await expect(page.get_by_role("heading", name="No traces yet")).to_be_visible()
        await project.send(input="Where is order 48213?", output="On its way.")
        # The page continues when the trace arrives.
        await expect(page.get_by_role("heading", name="Overview")).to_be_visible(timeout=10_000)
        await page.keyboard.press("n")
        await expect(page.get_by_role("heading", name="New run")).to_be_visible()
        await page.get_by_label("task_completion").check()
        await expect(page.locator("#matching .big")).to_contain_text("1")
        await page.get_by_role("button", name="Start run").click()
        await page.wait_for_url("**/runs/*")
        await expect(page.get_by_text("Completed")).to_be_visible(timeout=30_000)
        await page.locator("a.q", has_text="task_completion").click()
        await page.locator("tbody a.q").first.click()
        await expect(page.get_by_role("heading", name="What the agent did")).to_be_visible()


async def test_from_a_bad_average_to_the_step_in_three_keys(
    judged_project: tuple[ProjectOnSite, dict[str, str]],
) -> None:
    project, run = judged_project
    async with project.visit() as page:
        await page.goto(f"{project.root}/runs/{run['id']}")
        await page.keyboard.press("j")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/scores?*")
        await page.keyboard.press("j")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/scores/*")
        await expect(page.locator(".find-l li").first).to_be_visible()
        await page.keyboard.press("1")
        await page.wait_for_url("**finding=*")
        await expect(page.locator(".find-l li.on")).to_have_count(1)
        step = page.url.partition("#")[2]
        if step:
            await expect(page.locator(f"#{step}")).to_be_in_viewport()


async def test_agreeing_takes_one_key(
    judged_project: tuple[ProjectOnSite, dict[str, str]],
) -> None:
    project, run = judged_project
    async with project.visit() as page:
        await page.goto(
            f"{project.root}/scores?run={run['id']}&metric=task_completion&state=scored"
        )
        await page.keyboard.press("j")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/scores/*")
        await page.keyboard.press("m")
        await page.keyboard.type("It is so.")
        await page.get_by_label("Note").blur()
        await page.keyboard.press("a")
        await expect(page.get_by_text("A person gave")).to_be_visible()
        await expect(page.get_by_text("It is so.")).to_be_visible()


async def test_live_progress_moves_and_cancel_asks_first(
    site: Site, project: ProjectOnSite
) -> None:
    for number in range(12):
        await project.send(input=f"Question {number}?", output=f"Answer {number}.")
    answers_left = 0

    def script(_request: Request) -> Step | None:
        nonlocal answers_left
        answers_left -= 1
        return None if answers_left >= 0 else rate_limited(1)

    site.assay.judge.script = script
    try:
        run = await project.run(metrics=["task_completion"], name="Slow")
        async with project.visit() as page:
            await page.goto(f"{project.root}/runs/{run['id']}")
            ended = page.locator("section .hd a.n").first
            await expect(ended).to_have_text("0")
            await expect(page.get_by_text("wait for openai")).to_be_visible(timeout=20_000)
            answers_left = 4
            await expect(ended).not_to_have_text("0", timeout=40_000)
            await page.keyboard.press("Shift+X")
            await expect(page.get_by_role("heading", name="Cancel this run?")).to_be_visible()
            await page.get_by_role("button", name="Cancel run").click()
            await expect(page.get_by_text("Cancelled").first).to_be_visible(timeout=30_000)
            site.assay.judge.script = ()
            await page.keyboard.press("r")
            await expect(page.get_by_text("Completed")).to_be_visible(timeout=60_000)
    finally:
        site.assay.judge.script = ()


async def test_a_monitor_is_paused_by_a_key(project: ProjectOnSite) -> None:
    await project.send()
    async with project.visit() as page:
        await page.goto(f"{project.root}/monitors/new")
        await page.get_by_label("task_completion").check()
        await page.get_by_label("Name", exact=True).fill("nightly")
        await page.get_by_role("button", name="Start monitor").click()
        await expect(page.get_by_text("Active")).to_be_visible()
        await page.keyboard.press("p")
        await expect(page.get_by_text("No run starts until it is resumed")).to_be_visible()
        await page.keyboard.press("p")
        await expect(page.get_by_text("Active")).to_be_visible()


async def test_the_keyboard_alone_reaches_everything(
    judged_project: tuple[ProjectOnSite, dict[str, str]],
) -> None:
    project, _ = judged_project
    async with project.visit() as page:
        await page.keyboard.press("?")
        await expect(page.locator("#keys")).to_be_visible()
        await page.keyboard.press("Escape")
        await page.keyboard.press("/")
        await page.keyboard.type("Release 48")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/search?*")
        await page.locator("main input[name=q]").blur()
        await page.keyboard.press("j")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/runs/*")
        await page.keyboard.press("t")
        assert await page.evaluate("document.documentElement.dataset.theme") == "dark"
        await page.reload()
        assert await page.evaluate("document.documentElement.dataset.theme") == "dark"


async def test_a_key_that_follows_the_closed_help_at_once_is_obeyed(
    judged_project: tuple[ProjectOnSite, dict[str, str]],
) -> None:
    project, _ = judged_project
    async with project.visit() as page:
        await expect(page.locator("main[data-fragment]")).to_have_count(0)
        focused = await page.evaluate(
            """() => {
                const press = (key) => document.activeElement.dispatchEvent(
                    new KeyboardEvent("keydown", { key, bubbles: true }))
                press("?")
                document.querySelector("#keys").close()
                const closed = document.querySelector("#keys button")
                closed.dispatchEvent(new KeyboardEvent("keydown", { key: "/", bubbles: true }))
                return document.activeElement.getAttribute("name")
            }"""
        )
        assert focused == "q"


async def test_pages_read_without_scripts(
    judged_project: tuple[ProjectOnSite, dict[str, str]],
) -> None:
    project, run = judged_project
    async with project.visit(java_script_enabled=False) as page:
        await page.goto(f"{project.root}/runs/{run['id']}")
        await page.locator("a.q", has_text="task_completion").click()
        await page.locator("tbody a.q").first.click()
        await expect(page.get_by_role("heading", name="What the agent did")).to_be_visible()
        await page.goto(f"{project.root}/runs/new?metric=task_completion&tag=nobody")
        await expect(page.get_by_text("No trace matches.")).to_be_visible()


async def test_two_runs_are_compared_by_keys(
    judged_project: tuple[ProjectOnSite, dict[str, str]],
) -> None:
    project, run = judged_project
    other = await worse_run(project)
    async with project.visit() as page:
        await page.goto(f"{project.root}/runs/{run['id']}")
        await page.keyboard.press("c")
        await page.wait_for_url(f"**/compare?a={run['id']}")
        await page.locator(f"a.q[href*='{other}']").click()
        await page.wait_for_url(f"**b={other}")
        await expect(page.locator("#changed tbody tr")).to_have_count(2)
        await page.keyboard.press("]")
        await page.wait_for_url("**pair=*")
        await page.keyboard.press("w")
        await page.wait_for_url(f"**a={other}&b={run['id']}**")
        await expect(page.get_by_role("heading", level=1)).to_contain_text("better than Release 49")
        # Selects the first two rows of the list.
        await page.goto(f"{project.root}/runs")
        for _ in range(2):
            await page.keyboard.press("j")
            await page.keyboard.press("x")
        await page.keyboard.press("c")
        await page.wait_for_url("**/compare?a=*&b=*")
        await expect(page.get_by_role("heading", name="By metric")).to_be_visible()

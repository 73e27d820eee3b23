"""A real browser in front of a real API, worker and Temporal; only the judge is scripted."""

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from playwright.async_api import Browser, Page, async_playwright
from temporalio.testing import WorkflowEnvironment

from core.db.database import Database
from core.ids import ProjectId, Scope
from core.queries import api_keys, projects
from tests.e2e.conftest import Assay, running
from tests.factories import span_body, trace_body

SCREENSHOTS = Path(__file__).parents[2] / ".screenshots"

_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


def chromium() -> str | None:
    """The path of Chromium; CHROMIUM overrides it."""
    return (
        os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    )


@dataclass
class Site:
    """The dashboard, and the errors that its pages reported."""

    assay: Assay
    browser: Browser
    database: Database

    @property
    def address(self) -> str:
        return str(self.assay.api.base_url)

    async def project(self) -> "ProjectOnSite":
        """A new, empty project with its own key."""
        name = f"p-{uuid4().hex[:8]}"
        async with self.database.write() as db:
            project_id = await projects.ensure(db, name)
            _, key = await api_keys.create(
                db, api_keys.NewKey("browser", scope=Scope.ADMIN, project_id=project_id)
            )
        return ProjectOnSite(self, name, project_id, key)


@dataclass
class ProjectOnSite:
    site: Site
    name: str
    id: ProjectId
    key: str

    @property
    def root(self) -> str:
        return f"/ui/{self.name}"

    async def send(self, **overrides: Any) -> str:
        """Sends a trace; returns its id."""
        body = trace_body(**overrides)
        answer = await self._post("/traces", body)
        return str(answer["trace_id"])

    async def run(self, *, metrics: list[str], name: str, **more: Any) -> dict[str, Any]:
        return await self._post(
            "/evaluations/trace-runs", {"metrics": metrics, "name": name} | more
        )

    async def judged(self, run: dict[str, Any]) -> None:
        """Returns once the run is over."""
        address = f"/evaluations/trace-runs/{run['id']}/events"
        headers = {"Authorization": f"Bearer {self.key}"}
        async with self.site.assay.api.stream("GET", address, headers=headers) as answer:
            async for line in answer.aiter_lines():
                if line == "event: done":
                    return

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.key}"}
        answer = await self.site.assay.api.post(path, json=body, headers=headers)
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found

    @asynccontextmanager
    async def visit(self, **context: Any) -> AsyncIterator[Page]:
        """Opens a signed-in page; its errors fail the test at the end."""
        at = {"timezone_id": "UTC", "base_url": self.site.address}
        made = await self.site.browser.new_context(**(at | context))
        page = await made.new_page()
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "console",
            lambda said: wrong.append(said.text) if said.type == "error" else None,
        )
        page.on("dialog", lambda dialog: wrong.append(f"a dialog: {dialog.message}"))
        await page.goto("/ui/sign-in")
        await page.fill("#key", self.key)
        await page.click("button.primary")
        await page.wait_for_url("**/ui/p-*")
        yield page
        await made.close()
        assert wrong == []


@pytest.fixture(scope="session")
async def site(
    temporal_server: WorkflowEnvironment,
    tmp_path_factory: pytest.TempPathFactory,
    sqlite_template: Path,
) -> AsyncIterator[Site]:
    folder = tmp_path_factory.mktemp("web")
    shutil.copy(sqlite_template, folder / "assay.db")
    url = f"sqlite:///{folder}/assay.db"
    queue = f"web-{uuid4().hex[:8]}"
    executable = chromium()
    assert executable, "Install Chromium (apt-get install chromium), or name it with CHROMIUM."
    database = Database(url)
    async with running(temporal_server, folder, url, queue) as assay, async_playwright() as driver:
        await assay.start_worker()
        browser = await driver.chromium.launch(executable_path=executable, args=_FLAGS)
        yield Site(assay, browser, database)
        await browser.close()
    await database.close()


@pytest.fixture
async def project(site: Site) -> ProjectOnSite:
    return await site.project()


@pytest.fixture(scope="session")
async def judged_project(site: Site) -> tuple[ProjectOnSite, dict[str, Any]]:
    """A project with a session of three traces, judged by three metrics."""
    project = await site.project()
    for number in range(3):
        await project.send(
            name="support agent",
            input=f"Where is order {number}?",
            output="It is on its way.",
            session_id="s-1",
            user_id="noor",
            tags=["blue"],
            spans=[
                span_body(name="agent", kind="AGENT"),
                span_body(
                    name="find_order",
                    kind="TOOL",
                    input={"order": number},
                    output={"state": "sent"},
                ),
            ],
        )
    run = await project.run(
        metrics=["task_completion", "tool_correctness", "step_efficiency"], name="Release 48"
    )
    await project.judged(run)
    return project, run


@pytest.fixture
async def impatient(site: Site) -> AsyncIterator[str]:
    """The address of another API process, whose pages do not wait for their parts."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = await site.assay.start(
        "impatient",
        *("-m", "uvicorn", "tests.web.impatient:create_app", "--factory", "--port", str(port)),
    )
    address = f"http://127.0.0.1:{port}"
    async with asyncio.timeout(60), httpx.AsyncClient(base_url=address) as client:
        while process.returncode is None:
            try:
                if (await client.get("/health")).is_success:
                    break
            except httpx.TransportError:
                await asyncio.sleep(0.1)
    yield address
    process.terminate()
    await process.wait()

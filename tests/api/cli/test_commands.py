"""The commands against a real stack: what they print, store, and exit with."""

import gzip
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from core.embedded.home import Credentials, Home
from core.filters import TraceFilters
from tests.api.cli.up_process import assay, settings_for
from tests.api.importers import exports
from tests.factories import trace_body
from tests.ports import free_port

Settings = dict[str, str]


def lines_of(*bodies: Any) -> bytes:
    return b"".join(json.dumps(body).encode() + b"\n" for body in bodies)


def stored(api: httpx.Client, tag: str) -> int:
    total: int = api.get("/traces", params={"tags": tag}).json()["total"]
    return total


def test_import_stores_the_good_lines_and_names_the_bad_ones(
    stack: Settings, api: httpx.Client, tmp_path: Path
) -> None:
    file = tmp_path / "traces.jsonl"
    nameless = trace_body()
    del nameless["name"]
    file.write_bytes(
        lines_of(trace_body(tags=["mixed"]))
        + b"{broken\n\n"
        + lines_of([1], nameless, trace_body(tags=["mixed"], input="half a pair: \ud800"))
        + b"\n" * 93
        + b"line 100 is text\n"
    )
    done = assay(stack, "import", str(file))
    assert done.returncode == 1
    assert "2 traces stored, 4 lines bad." in done.stdout
    assert f"{file}:2: not valid JSON" in done.stderr
    assert f"{file}:4: not a JSON object" in done.stderr
    assert re.search(re.escape(f"{file}:5: ") + r"name: .+", done.stderr)
    assert f"{file}:100: not valid JSON" in done.stderr
    assert stored(api, "mixed") == 2


def test_import_reads_gzip_and_standard_input(
    stack: Settings, api: httpx.Client, tmp_path: Path
) -> None:
    packed = tmp_path / "traces.jsonl.gz"
    packed.write_bytes(gzip.compress(lines_of(*(trace_body(tags=["packed"]) for _ in range(30)))))
    piped = lines_of(trace_body(tags=["packed"]))
    done = assay(stack, "import", str(packed), "-", stdin=piped)
    assert (done.returncode, done.stdout) == (0, "31 traces stored, 0 lines bad.\n")
    assert stored(api, "packed") == 31


def test_import_of_a_line_without_an_id_stores_it_once(stack: Settings, api: httpx.Client) -> None:
    body = trace_body(tags=["no id"])
    del body["trace_id"]
    assert assay(stack, "import", "-", stdin=lines_of(body)).returncode == 0
    assert stored(api, "no id") == 1


def test_import_goes_on_after_a_file_it_cannot_read(
    stack: Settings, api: httpx.Client, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.jsonl.gz"
    whole = gzip.compress(lines_of(*(trace_body(input=str(uuid4())) for _ in range(50))))
    cut.write_bytes(whole[: len(whole) // 2])
    good = tmp_path / "good.jsonl"
    good.write_bytes(lines_of(trace_body(tags=["after"])))
    done = assay(stack, "import", "missing.jsonl", str(cut), str(good))
    assert done.returncode == 1
    assert "missing.jsonl: No such file or directory" in done.stderr
    assert f"{cut}: the gzip data is damaged or ends early" in done.stderr
    assert "0 lines bad, 2 of 3 files not read to the end." in done.stdout
    assert stored(api, "after") == 1


@pytest.fixture
def one_trace(stack: Settings, api: httpx.Client) -> str:
    """The tag of a trace that only this test has."""
    tag = f"only-{uuid4()}"
    assert api.post("/traces", json=trace_body(tags=[tag])).status_code == 202
    return tag


def test_run_follows_to_the_end_and_sums_up(stack: Settings, one_trace: str) -> None:
    done = assay(
        stack, "run", "-m", "step_efficiency", "-m", "tool_correctness", "--name", "by hand",
        "--filter", f"tags={one_trace}", "--model", "offline/rules",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "1 traces" in done.stdout
    assert re.search(r"step_efficiency +1 +0 +0 +\d\.\d\d", done.stdout)
    assert re.search(r"tool_correctness +1 +0 +0 +\d\.\d\d", done.stdout)
    assert "completed: 1 traces judged by offline/rules." in done.stdout
    assert "COMPLETED: 1 of 1 traces" in done.stderr


def test_run_without_waiting_prints_the_id_alone(
    stack: Settings, api: httpx.Client, one_trace: str
) -> None:
    done = assay(stack, "run", "-m", "step_efficiency", "-f", f"tags={one_trace}", "--no-wait")
    run = api.get(f"/evaluations/trace-runs/{UUID(done.stdout.strip())}").json()
    assert run["filters"] == {"tags": [one_trace]}


def test_a_run_that_fails_says_why_and_exits_with_1(stack: Settings, one_trace: str) -> None:
    chosen = ["-m", "step_efficiency", "-f", f"tags={one_trace}"]
    done = assay(stack, "run", *chosen, "--model", "ollama/missing")
    assert done.returncode == 1
    assert re.search(r"Error: Run \S+ failed: .*missing", done.stderr)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["-m", "no_such"], "no_such"),
        (["-m", "step_efficiency", "-f", "tags=nobody"], "match"),
        (["-m", "step_efficiency", "-f", "color=red"], "filters.color"),
        (["-m", "step_efficiency", "-f", "name"], "write it as KEY=VALUE"),
        (["-m", "step_efficiency", "-f", "name=a", "-f", "name=b"], "given twice"),
        (["-m", "step_efficiency", "--sampling-rate", "1.1"], "sampling_rate"),
        (["-m", "step_efficiency", "--model", "openai/gpt-5.4-mini"], "OPENAI_API_KEY"),
    ],
)
def test_run_says_in_one_sentence_what_does_not_fit(
    stack: Settings, arguments: list[str], sentence: str
) -> None:
    done = assay(stack, "run", *arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert sentence in done.stderr


@pytest.mark.skipif(not shutil.which("curl"), reason="the walk-through is written with curl")
def test_the_walk_through_of_the_readme_works_as_it_stands(
    stack: Settings, api: httpx.Client, tmp_path: Path
) -> None:
    readme = (Path(__file__).parents[3] / "README.md").read_text()
    script = readme.split("```bash\n")[1].split("```")[0]
    # The differences between this stack and the stack of `make run` in the project's folder.
    for written, here in (
        ("http://127.0.0.1:8000", str(api.base_url).rstrip("/")),
        (".assay/credentials.json", f"{stack['ASSAY_HOME']}/credentials.json"),
        (".venv/bin/python", sys.executable),
    ):
        assert written in script
        script = script.replace(written, here)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    shown = done.stdout.decode()
    assert "event: done" in shown
    scores = json.loads(shown[shown.rindex("[\n    {") :])
    assert {score["name"] for score in scores} == {
        "task_completion",
        "tool_correctness",
        "step_efficiency",
    }


def test_scores_show_reasons_and_give_json(
    stack: Settings, api: httpx.Client, one_trace: str
) -> None:
    done = assay(stack, "run", "-m", "step_efficiency", "-f", f"tags={one_trace}")
    found = re.search(r"Run (\S+): 1 traces", done.stdout)
    assert found is not None
    table = assay(stack, "scores", found[1])
    assert table.returncode == 0
    assert "step_efficiency" in table.stdout
    assert "(Offline rule" in table.stdout
    as_json = json.loads(assay(stack, "scores", found[1], "--json").stdout)
    assert as_json == api.get(f"/evaluations/trace-runs/{found[1]}/scores").json()


def test_scores_of_no_run_say_so(stack: Settings) -> None:
    done = assay(stack, "scores", str(uuid4()))
    assert done.returncode == 1
    assert re.match(r"Error: No .*run .* in this project\.\n", done.stderr)
    assert assay(stack, "scores", "not-an-id").returncode == 2


def test_commands_without_a_known_assay_say_how_to_get_one(tmp_path: Path) -> None:
    done = assay(settings_for(tmp_path), "scores", str(uuid4()))
    assert done.returncode == 1
    assert "Start one with `assay up`, or set ASSAY_URL" in done.stderr


def test_the_key_of_this_home_is_not_sent_elsewhere(stack: Settings) -> None:
    elsewhere = {**stack, "ASSAY_URL": f"http://127.0.0.1:{free_port()}"}
    done = assay(elsewhere, "scores", str(uuid4()))
    assert done.returncode == 1
    assert "ASSAY_API_KEY is not set" in done.stderr


def test_a_file_in_the_working_directory_directs_no_key_elsewhere(
    stack: Settings, api: httpx.Client, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text(
        f"ASSAY_URL=http://127.0.0.1:{free_port()}\nASSAY_API_KEY=assay_of_the_file\n"
    )
    done = assay(stack, "scores", str(uuid4()), cwd=tmp_path)
    assert re.match(r"Error: No .*run .* in this project\.\n", done.stderr)


def test_the_key_of_the_environment_is_not_sent_to_an_address_in_a_folder(tmp_path: Path) -> None:
    settings = {**settings_for(tmp_path), "ASSAY_API_KEY": "assay_of_the_user"}
    url = f"http://localhost.example:{free_port()}"
    Home(tmp_path).save(Credentials(url=url, api_key="theirs"))
    done = assay(settings, "scores", str(uuid4()))
    assert done.returncode == 1
    assert "ASSAY_API_KEY is not sent to http://localhost.example:" in done.stderr


def test_a_wrong_key_is_told(stack: Settings) -> None:
    done = assay({**stack, "ASSAY_API_KEY": "assay_wrong_key"}, "scores", str(uuid4()))
    assert done.returncode == 1
    assert "unknown, revoked or expired" in done.stderr


def test_an_address_that_is_none_is_told(tmp_path: Path) -> None:
    settings = settings_for(tmp_path) | {"ASSAY_URL": "localhost:8000", "ASSAY_API_KEY": "assay_k"}
    done = assay(settings, "scores", str(uuid4()))
    assert done.returncode == 1
    assert "ASSAY_URL must begin with http:// or https://, not 'localhost:8000'" in done.stderr


def test_the_help_names_every_filter(stack: Settings) -> None:
    shown = assay({**stack, "COLUMNS": "200"}, "run", "--help").stdout
    assert [name for name in TraceFilters.model_fields if name not in shown] == []


def test_a_server_that_is_away_is_told(tmp_path: Path) -> None:
    settings = settings_for(tmp_path) | {
        "ASSAY_URL": f"http://127.0.0.1:{free_port()}",
        "ASSAY_API_KEY": "assay_some_key",
    }
    done = assay(settings, "run", "-m", "step_efficiency")
    assert done.returncode == 1
    assert "Is `assay up` running" in done.stderr


def test_exports_of_other_tools_are_imported_and_shown(
    stack: Settings, api: httpx.Client, tmp_path: Path
) -> None:
    file = tmp_path / "export.jsonl"
    file.write_text("".join(json.dumps(run) + "\n" for run in exports.langsmith()) + "broken\n")
    shown = assay(stack, "import", "--dry-run", str(file))
    assert shown.returncode == 0, shown.stderr
    assert "LangSmith runs: 5 records, 4 spans read, 1 could not be read." in shown.stdout
    assert all(word in shown.stdout for word in exports.WORDS)
    done = assay(stack, "import", str(file))
    assert done.returncode == 1
    assert "4 spans read" in done.stdout
    assert "line 5" in done.stderr
    trace_id = str(UUID(exports.langsmith()[0]["trace_id"]))
    assert api.get(f"/traces/{trace_id}").json()["session_id"] == "s-1"
    tree = assay(stack, "trace", "show", trace_id)
    assert "TOOL  find_shelf" in tree.stdout
    judged = assay(stack, "trace", "show", trace_id, "--as-judge")
    assert all(word in judged.stdout for word in exports.WORDS)


def test_a_dry_run_needs_no_server(tmp_path: Path) -> None:
    file = tmp_path / "traces.jsonl"
    file.write_text(json.dumps(trace_body(input="Where is it?")) + "\n")
    done = assay({"ASSAY_HOME": str(tmp_path)}, "import", "--dry-run", str(file))
    assert done.returncode == 0, done.stderr
    assert "Where is it?" in done.stdout


def test_a_trace_that_is_not_there_cannot_be_shown(stack: Settings) -> None:
    done = assay(stack, "trace", "show", str(uuid4()))
    assert done.returncode == 1
    assert "trace" in done.stderr

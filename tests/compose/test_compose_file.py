"""docker-compose.yml says only what the Compose specification and this code know.

There is no engine here to run it: what can be known by reading is held by these tests.
"""

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
from compose_spec import PyOptions

from core import temporal
from core.settings import Settings
from evals.provider_table import PROVIDERS

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()

PLACEHOLDER = re.compile(r"\$\$|\$\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\}")
SECRETS = {
    "POSTGRES_PASSWORD",
    "ASSAY_DATABASE_PASSWORD",
    "TEMPORAL_DATABASE_PASSWORD",
    "ASSAY_BOOTSTRAP_API_KEY",
}
OURS = {"migrate", "api", "worker"}


def filled_in(text: str) -> str:
    """Every placeholder replaced as Compose does it, required ones by a stand-in."""

    def value(match: re.Match[str]) -> str:
        if match["name"] is None:
            return "$"
        return match["rest"] if match["kind"] == "-" else f"given-{match['name'].lower()}"

    return PLACEHOLDER.sub(value, text)


def parsed() -> dict[str, Any]:
    compose = PyOptions(apply_merge=True).from_yaml(filled_in(TEXT))
    compose.validate()
    return dict(compose.to_dict())


COMPOSE = parsed()
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def environment(service: str) -> dict[str, Any]:
    return dict(SERVICES[service].get("environment") or {})


def settings_variables() -> set[str]:
    return {f"ASSAY_{name.upper()}" for name in Settings.model_fields}


def test_no_placeholder_is_left_without_a_value_or_a_message() -> None:
    bare = [m[0] for m in PLACEHOLDER.finditer(TEXT) if m["name"] and not m["kind"]]
    assert bare == []
    assert "$" not in PLACEHOLDER.sub("", TEXT), "a placeholder in another spelling"


def test_every_secret_must_be_given_and_says_so() -> None:
    required = {m["name"] for m in PLACEHOLDER.finditer(TEXT) if m["kind"] == "?"}
    assert required == SECRETS
    messages = [m["rest"] for m in PLACEHOLDER.finditer(TEXT) if m["kind"] == "?"]
    assert all(message.startswith("set ") for message in messages)


@pytest.mark.parametrize("service", sorted(OURS))
def test_our_services_set_only_variables_the_code_reads(service: str) -> None:
    providers = {name for p in PROVIDERS for group in p.variables for name in group}
    temporal_client = {"TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE"}
    known = settings_variables() | temporal_client | providers
    assert set(environment(service)) - known == set()


def test_only_workers_see_provider_keys() -> None:
    providers = {name for p in PROVIDERS for group in p.variables for name in group}
    assert set(environment("worker")) & providers
    for service in set(SERVICES) - {"worker"}:
        assert set(environment(service)) & providers == set(), service


@pytest.mark.parametrize("service", sorted(OURS))
def test_our_commands_start_what_there_is(service: str) -> None:
    command = SERVICES[service]["command"]
    module = command[command.index("-m") + 1] if "-m" in command else command[1].split(":")[0]
    assert importlib.util.find_spec(module) is not None
    if command[0] == "uvicorn":
        factory = command[1].split(":")[1]
        assert hasattr(importlib.import_module(module), factory)


def test_the_workers_health_check_is_a_module_of_ours() -> None:
    test = SERVICES["worker"]["healthcheck"]["test"]
    assert importlib.util.find_spec(test[test.index("-m") + 1]) is not None


def test_ports_published_are_the_ones_servers_listen_on() -> None:
    api = SERVICES["api"]
    assert "--port=8000" in api["command"]
    assert "http://127.0.0.1:8000/ready" in api["healthcheck"]["test"][-1]
    published = {name: list(s["ports"]) for name, s in SERVICES.items() if s.get("ports")}
    assert published == {
        "api": [f"127.0.0.1:{Settings.model_fields['api_port'].default}:8000"],
        "temporal-ui": [f"127.0.0.1:{Settings.model_fields['temporal_ui_port'].default}:8080"],
    }


def test_everything_speaks_to_the_servers_of_this_file() -> None:
    for service in ("api", "worker", "migrate"):
        assert "@postgres:5432/assay" in environment(service)["ASSAY_DATABASE_URL"]
    for service in ("api", "worker", "temporal-namespace", "temporal-ui"):
        assert environment(service)["TEMPORAL_ADDRESS"] == "temporal:7233"


def test_images_are_pinned_and_temporal_s_versions_agree() -> None:
    images = {name: service["image"] for name, service in SERVICES.items()}
    assert all(re.fullmatch(r"[\w./-]+:\d[\w.]*", image) for image in images.values()), images
    temporal_server = {images[n] for n in ("temporal", "temporal-schema", "temporal-namespace")}
    assert {image.split(":")[1] for image in temporal_server} == {"1.32.0"}
    assert images["postgres"] == "postgres:16"


def test_our_image_is_built_from_the_lock_and_runs_without_root() -> None:
    dockerfile = SERVICES["api"]["build"]["dockerfile_inline"]
    assert "--require-hashes" in dockerfile
    assert "--no-index" in dockerfile
    assert dockerfile.rindex("USER assay") > dockerfile.rindex("FROM")
    for copied in re.findall(r"^COPY (\S+) /src/\S+$", dockerfile, flags=re.MULTILINE):
        assert (ROOT / copied).is_dir(), copied


def test_one_shot_jobs_end_before_what_needs_them_starts() -> None:
    done = {"condition": "service_completed_successfully"}
    for service in ("api", "worker"):
        needs = SERVICES[service]["depends_on"]
        for job in ("migrate", "temporal-namespace"):
            assert needs[job]["condition"] == done["condition"]
    jobs = ("migrate", "temporal-schema", "temporal-namespace")
    assert all(SERVICES[job]["restart"] == "on-failure" for job in jobs)


def test_what_serves_restarts_and_is_watched() -> None:
    serving = set(SERVICES) - {"migrate", "temporal-schema", "temporal-namespace"}
    assert {SERVICES[name]["restart"] for name in serving} == {"unless-stopped"}
    watched = {name for name in serving if "healthcheck" in SERVICES[name]}
    assert watched == serving - {"temporal-ui"}


def test_workers_may_drain_and_be_scaled() -> None:
    worker = SERVICES["worker"]
    assert "container_name" not in worker
    assert "ports" not in worker
    grace = float(environment("worker")["ASSAY_SHUTDOWN_GRACE_SECONDS"])
    assert seconds(worker["stop_grace_period"]) >= grace + 10


def test_volumes_and_configs_used_are_declared() -> None:
    used_volumes = {v.split(":")[0] for s in SERVICES.values() for v in s.get("volumes", [])}
    assert used_volumes == set(COMPOSE["volumes"])
    used_configs = {c["source"] for s in SERVICES.values() for c in s.get("configs", [])}
    assert used_configs == set(COMPOSE["configs"])
    assert all(config["content"] for config in COMPOSE["configs"].values())


def test_the_namespace_job_registers_every_search_attribute() -> None:
    script = COMPOSE["configs"]["temporal-namespace"]["content"]
    line = next(row for row in script.splitlines() if row.startswith("for name in"))
    names = line.removeprefix("for name in").removesuffix("; do").split()
    assert names == [key.name for key in temporal.SEARCH_ATTRIBUTES]


def seconds(duration: str) -> float:
    parts = re.findall(r"(\d+)([hms])", str(duration))
    assert parts, duration
    return sum(int(n) * {"h": 3600, "m": 60, "s": 1}[unit] for n, unit in parts)

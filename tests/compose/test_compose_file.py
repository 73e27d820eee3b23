"""docker-compose.yml uses only keys of the Compose specification and settings of this code.

The tests read the file, because no container engine is available.
"""

import importlib.util
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyOptions

from core.settings import Settings
from core.temporal import client as temporal_client
from evals.judges.provider_table import PROVIDERS
from tests.compose.dockerfile import command, stages

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()

PLACEHOLDER = re.compile(r"\$\$|\$\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\}")
IMAGE = re.compile(r"[\w./-]+:(?P<tag>v?\d[\w.]*)(@sha256:[0-9a-f]{64})?")
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
SECRETS = {
    "POSTGRES_PASSWORD",
    "ASSAY_DATABASE_PASSWORD",
    "TEMPORAL_DATABASE_PASSWORD",
    "ASSAY_BOOTSTRAP_API_KEY",
}
OURS = {"migrate", "api", "worker"}
CLOUD_CREDENTIALS = {"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}
FIXED_HERE = {
    *("ASSAY_HOME", "ASSAY_API_HOST", "ASSAY_API_PORT", "ASSAY_TEMPORAL_PORT"),
    *("ASSAY_TEMPORAL_UI_PORT", "ASSAY_TASK_QUEUE", "ASSAY_AUTO_MIGRATE", "ASSAY_DATABASE_URL"),
    *("ASSAY_TELEMETRY_HOST", "ASSAY_TELEMETRY_PORT"),
}
"""Settings that the compose file fixes: addresses inside its networks, and the task queue."""
OF_UVICORN = {"FORWARDED_ALLOW_IPS"}


def filled_in(text: str) -> str:
    """Replaces every placeholder like Compose; required variables get a stand-in."""

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
    known = settings_variables() | temporal_client | providers | CLOUD_CREDENTIALS | OF_UVICORN
    others = {name for name in environment(service) if not name.startswith("OTEL_")}
    assert others - known == set()


def test_tracing_is_off_unless_asked_for_and_reaches_every_process_that_traces() -> None:
    for service in ("api", "worker"):
        assert environment(service)["OTEL_TRACES_EXPORTER"] is None
        assert "OTEL_EXPORTER_OTLP_ENDPOINT" in environment(service)


def test_a_worker_exposes_its_measures_to_the_networks_of_the_file_only() -> None:
    found = environment("worker")
    assert found["ASSAY_TELEMETRY_HOST"] == "0.0.0.0"
    assert int(found["ASSAY_TELEMETRY_PORT"]) > 0
    assert "ports" not in SERVICES["worker"]


def test_only_workers_see_provider_keys() -> None:
    providers = {name for p in PROVIDERS for group in p.variables for name in group}
    assert set(environment("worker")) & providers
    for service in set(SERVICES) - {"worker"}:
        assert set(environment(service)) & providers == set(), service


def test_our_services_run_what_the_image_says() -> None:
    for service in ("api", "worker"):
        assert SERVICES[service]["build"]["target"] == service
        assert service in stages()
        assert SERVICES[service].keys().isdisjoint({"command", "entrypoint", "healthcheck"})


def test_the_migration_is_a_module_of_ours() -> None:
    words = SERVICES["migrate"]["command"]
    assert importlib.util.find_spec(words[words.index("-m") + 1]) is not None
    assert SERVICES["migrate"]["healthcheck"] == {"disable": True}


def test_ports_published_are_the_ones_servers_listen_on() -> None:
    assert "--port=8000" in command("api")
    published = {name: list(s["ports"]) for name, s in SERVICES.items() if s.get("ports")}
    assert published == {
        "api": [f"127.0.0.1:{Settings.model_fields['api_port'].default}:8000"],
        "temporal-ui": [f"127.0.0.1:{Settings.model_fields['temporal_ui_port'].default}:8080"],
        "prometheus": ["127.0.0.1:9090:9090"],
        "grafana": ["127.0.0.1:3000:3000"],
    }


def test_everything_speaks_to_the_servers_of_this_file() -> None:
    for service in ("api", "worker", "migrate"):
        assert "@postgres:5432/assay" in environment(service)["ASSAY_DATABASE_URL"]
    for service in ("api", "worker", "temporal-namespace", "temporal-ui"):
        assert environment(service)["TEMPORAL_ADDRESS"] == "temporal:7233"


def test_images_are_pinned_and_temporal_s_versions_agree() -> None:
    images = {name: service["image"] for name, service in SERVICES.items()}
    found = {name: IMAGE.fullmatch(image) for name, image in images.items()}
    tags = {name: match["tag"] for name, match in found.items() if match is not None}
    assert tags.keys() == images.keys(), images
    assert {tags[n] for n in ("temporal", "temporal-schema", "temporal-namespace")} == {"1.32.0"}
    assert tags["postgres"] == "16"
    assert {tags[n] for n in OURS} == {VERSION}


def test_an_image_may_be_pinned_to_a_digest_and_the_file_says_how() -> None:
    assert IMAGE.fullmatch(f"postgres:16@sha256:{'0a' * 32}")
    assert "RepoDigests" in TEXT


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
    watched = {name for name in serving if "healthcheck" in SERVICES[name]} | {"api", "worker"}
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
    for config in COMPOSE["configs"].values():
        assert config.get("content") or (ROOT / config["file"]).is_file()


def test_a_read_only_container_gets_files_of_the_host() -> None:
    """Compose copies other content into the container, which Docker refuses for these."""
    for name, service in SERVICES.items():
        if service.get("read_only"):
            sources = [COMPOSE["configs"][c["source"]] for c in service.get("configs", [])]
            assert all("file" in source for source in sources), name


def test_the_namespace_job_registers_every_search_attribute() -> None:
    script = COMPOSE["configs"]["temporal-namespace"]["content"]
    line = next(row for row in script.splitlines() if row.startswith("for name in"))
    names = line.removeprefix("for name in").removesuffix("; do").split()
    assert names == [key.name for key in temporal_client.SEARCH_ATTRIBUTES]


def seconds(duration: str) -> float:
    parts = re.findall(r"(\d+)([hms])", str(duration))
    assert parts, duration
    return sum(int(n) * {"h": 3600, "m": 60, "s": 1}[unit] for n, unit in parts)


def test_every_setting_reaches_a_service_with_the_value_of_the_operator() -> None:
    given = PLACEHOLDER.sub(lambda m: f"given-{m['name']}" if m["name"] else "$", TEXT)
    found = yaml.safe_load(given)["services"]
    handed_on = {
        name
        for service in OURS
        for name, value in found[service]["environment"].items()
        if value is None or value == f"given-{name}"
    }
    assert settings_variables() - FIXED_HERE - handed_on == set()
    assert found["worker"]["stop_grace_period"] == "given-ASSAY_STOP_GRACE_PERIOD"


def test_the_api_may_be_told_which_proxy_to_believe() -> None:
    """The proxy comes from the address of Docker's bridge, not from 127.0.0.1."""
    assert environment("api").get("FORWARDED_ALLOW_IPS", "") is None


def test_every_providers_variables_reach_the_workers() -> None:
    providers = {name for p in PROVIDERS for group in p.variables for name in group}
    assert providers - set(environment("worker")) == set()


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_every_container_is_confined(service: str) -> None:
    found = SERVICES[service]
    assert found["cap_drop"] == ["ALL"]
    assert found["security_opt"] == ["no-new-privileges:true"]
    assert found["pids_limit"]
    assert found["logging"]["options"]["max-size"]
    assert found.get("read_only") is True or service.startswith("temporal")
    assert found.get("mem_limit") or found["restart"] == "on-failure" or service in OURS


def test_networks_keep_the_database_and_temporal_inside() -> None:
    networks = COMPOSE["networks"]
    assert networks["database"]["internal"] is True
    assert networks["workflows"]["internal"] is True
    members = {name: set(service["networks"]) for name, service in SERVICES.items()}
    assert members["postgres"] == {"database"}
    assert members["migrate"] == {"database"}
    assert members["temporal"] == {"database", "workflows"}
    reach_outside = {name for name, nets in members.items() if "outside" in nets}
    assert reach_outside == {"api", "worker", "temporal-ui"}
    assert members["prometheus"] == members["grafana"] == {"telemetry"}


def test_histories_are_kept_for_three_days_also_by_a_namespace_that_exists() -> None:
    assert environment("temporal-namespace")["TEMPORAL_RETENTION"] == "3d"
    script = COMPOSE["configs"]["temporal-namespace"]["content"]
    assert 'namespace create --namespace assay --retention "$TEMPORAL_RETENTION"' in script
    assert 'namespace update --namespace assay --retention "$TEMPORAL_RETENTION"' in script


def test_the_profile_for_telemetry_reads_every_api_and_every_worker() -> None:
    optional = {name for name, service in SERVICES.items() if service.get("profiles")}
    assert optional == {"prometheus", "grafana"}
    found = yaml.safe_load((ROOT / COMPOSE["configs"]["prometheus"]["file"]).read_text())
    jobs = {job["job_name"]: job["dns_sd_configs"][0] for job in found["scrape_configs"]}
    alerts = (ROOT / COMPOSE["configs"]["prometheus-alerts"]["file"]).read_text()
    assert set(re.findall(r'up\{job="([\w-]+)"\}', alerts)) == set(jobs)
    assert (jobs["assay-api"]["names"], jobs["assay-api"]["port"]) == (["api"], 8000)
    assert jobs["assay-worker"]["names"] == ["worker"]
    assert jobs["assay-worker"]["port"] == int(environment("worker")["ASSAY_TELEMETRY_PORT"])
    for job in jobs.values():
        shared = set(SERVICES["prometheus"]["networks"]) & set(
            SERVICES[job["names"][0]]["networks"]
        )
        assert len(shared) == 1, "with two shared networks, Prometheus reads each process twice"


def test_nobody_can_sign_in_to_grafana() -> None:
    found = environment("grafana")
    assert found["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert found["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    assert found["GF_AUTH_BASIC_ENABLED"] == "false"

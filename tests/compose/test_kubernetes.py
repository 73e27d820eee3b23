"""The manifests of docs/kubernetes fit the schemas of Kubernetes, the image and the settings."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.settings import Settings
from evals.judges.provider_table import PROVIDERS
from tests.compose.dockerfile import ROOT, command
from tests.compose.test_compose_file import SERVICES, VERSION

FOLDER = ROOT / "docs" / "kubernetes"
PAGE = (ROOT / "docs" / "kubernetes.md").read_text()
FILES = sorted(FOLDER.glob("*.yaml"))
OLDEST, NEWEST = "1.30", "1.37"
NOT_OURS = {"FORWARDED_ALLOW_IPS", "TEMPORAL_CONFIG_FILE"}
"""Variables of uvicorn and of Temporal's clients."""

Manifest = dict[str, Any]


def manifests(path: Path) -> list[Manifest]:
    return [found for found in yaml.safe_load_all(path.read_text()) if found]


ALL: list[Manifest] = [found for path in FILES for found in manifests(path)]
PODS: dict[str, Manifest] = {
    found["metadata"]["name"]: found["spec"]["template"]
    for found in ALL
    if found["kind"] in ("Deployment", "Job")
}
CONTAINERS: list[Manifest] = [c for pod in PODS.values() for c in pod["spec"]["containers"]]


def of_kind(kind: str) -> list[Manifest]:
    return [found for found in ALL if found["kind"] == kind]


def named(kind: str, name: str) -> Manifest:
    return next(found for found in of_kind(kind) if found["metadata"]["name"] == name)


def variables(container: Manifest) -> dict[str, str]:
    """The variables of a container that the manifests give themselves."""
    found = {row["name"]: row["value"] for row in container.get("env", [])}
    for source in container["envFrom"]:
        if "configMapRef" in source:
            found |= named("ConfigMap", source["configMapRef"]["name"])["data"]
    return found


def secrets(pod: Manifest) -> set[str]:
    volumes = {v["secret"]["secretName"] for v in pod["spec"]["volumes"] if "secret" in v}
    return volumes.union(*(secrets_read(container) for container in pod["spec"]["containers"]))


def secrets_read(container: Manifest) -> set[str]:
    return {s["secretRef"]["name"] for s in container["envFrom"] if "secretRef" in s}


def matches(selector: Manifest, labels: dict[str, str]) -> bool:
    exact = selector.get("matchLabels", {}).items() <= labels.items()
    return exact and all(
        labels.get(row["key"]) in row["values"] for row in selector.get("matchExpressions", [])
    )


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_object_fits_the_schema_without_unknown_fields(path: Path, version: str) -> None:
    validator = pytest.importorskip("kubernetes_validate")
    for found in manifests(path):
        validator.validate(found, version, strict=True)


def test_a_misspelled_field_does_not_fit() -> None:
    validator = pytest.importorskip("kubernetes_validate")
    service = named("Service", "assay-api")
    wrong = {**service, "spec": {**service["spec"], "selectors": {}}}
    with pytest.raises(validator.ValidationError, match="selectors"):
        validator.validate(wrong, NEWEST, strict=True)


def test_the_page_lists_every_file_and_the_versions_checked() -> None:
    assert set(re.findall(r"\]\(kubernetes/([\w-]+\.yaml)\)", PAGE)) == {p.name for p in FILES}
    assert f"Kubernetes {OLDEST}\nand {NEWEST}" in PAGE


def test_every_variable_is_a_setting() -> None:
    settings = {f"ASSAY_{name.upper()}" for name in Settings.model_fields}
    providers = {name for p in PROVIDERS for group in p.variables for name in group}
    given = set().union(*(variables(container) for container in CONTAINERS))
    created = set(re.findall(r"--from-literal=(\w+)=", PAGE))
    assert given | created <= settings | providers | NOT_OURS


@pytest.mark.parametrize("name", PODS)
def test_every_pod_starts_with_settings_that_the_code_accepts(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for container in PODS[name]["spec"]["containers"]:
        with monkeypatch.context() as environment:
            for variable, value in variables(container).items():
                environment.setenv(variable, value)
            assert Settings(_env_file=None).auto_migrate is False


@pytest.mark.parametrize("name", PODS)
def test_a_service_does_not_overwrite_a_setting(name: str) -> None:
    """For the service assay-api, Kubernetes would set ASSAY_API_PORT to tcp://…."""
    assert PODS[name]["spec"]["enableServiceLinks"] is False


def test_every_secret_is_created_by_the_page_and_none_is_in_a_manifest() -> None:
    created = set(re.findall(r"kubectl create secret \w+ ([\w-]+)", PAGE))
    tls = {row["secretName"] for found in of_kind("Ingress") for row in found["spec"]["tls"]}
    assert set().union(*map(secrets, PODS.values())) | tls == created
    assert of_kind("Secret") == []


def test_only_containers_of_workers_read_the_keys_of_providers() -> None:
    readers = {c["name"] for c in CONTAINERS if "assay-providers" in secrets_read(c)}
    assert readers == {"worker"}


@pytest.mark.parametrize("name", PODS)
def test_every_pod_is_confined(name: str) -> None:
    spec = PODS[name]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    named("ServiceAccount", spec["serviceAccountName"])
    for container in spec["containers"]:
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"]
        assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"]


def test_images_are_those_of_this_release_and_run_as_their_user() -> None:
    for container in CONTAINERS:
        image = container["image"].removeprefix("registry.example.com/")
        assert image in {SERVICES[name]["image"] for name in ("api", "worker", "migrate")}
        assert image.endswith(f":{VERSION}")
    users = {pod["spec"]["securityContext"]["runAsUser"] for pod in PODS.values()}
    assert {f"USER {user}:{user}" for user in users} <= set(
        (ROOT / "Dockerfile").read_text().splitlines()
    )
    assert len(users) == 1


@pytest.mark.parametrize("container", CONTAINERS, ids=lambda container: container["name"])
def test_commands_ports_and_probes_are_those_of_the_image(container: Manifest) -> None:
    if container["name"] == "migrate":
        assert container["command"] == SERVICES["migrate"]["command"]
        return
    assert "command" not in container
    probes = [container[kind] for kind in container if kind.endswith("Probe")]
    port = container["ports"][0]
    assert {p["httpGet"]["port"] for p in probes} == {port["name"]}
    asked = {p["httpGet"]["path"] for p in probes}
    if container["name"] == "api":
        assert f"--port={port['containerPort']}" in command("api")
        assert asked <= {"/health", "/ready"}
    else:
        assert variables(container)["ASSAY_TELEMETRY_PORT"] == str(port["containerPort"])
        assert asked == {"/health", "/metrics"}


@pytest.mark.parametrize("name", ["assay-worker", "assay"])
def test_a_stopping_worker_may_drain(name: str) -> None:
    spec = PODS[name]["spec"]
    worker = next(c for c in spec["containers"] if c["name"] == "worker")
    grace = float(variables(worker)["ASSAY_SHUTDOWN_GRACE_SECONDS"])
    assert spec["terminationGracePeriodSeconds"] >= grace + 10


def test_a_rollout_stops_at_a_worker_that_does_not_poll() -> None:
    spec = named("Deployment", "assay-worker")["spec"]
    probe = spec["template"]["spec"]["containers"][0]["readinessProbe"]
    assert probe["httpGet"]["path"] == "/health"
    assert probe["failureThreshold"] == 1
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_everything_that_selects_pods_finds_some(path: Path) -> None:
    here = manifests(path)
    labels = [
        found["spec"]["template"]["metadata"]["labels"]
        for found in (ALL if path.name == "network.yaml" else here)
        if found["kind"] in ("Deployment", "Job")
    ]
    for found in here:
        spec = found.get("spec", {})
        selector = spec.get("podSelector", spec.get("selector"))
        if found["kind"] == "Service":
            selector = {"matchLabels": selector}
        if selector is not None:
            assert any(matches(selector, each) for each in labels), found["metadata"]["name"]


def test_a_pod_that_serves_is_reached_and_reaches_temporal() -> None:
    policies = {found["metadata"]["name"]: found["spec"] for found in of_kind("NetworkPolicy")}
    assert policies["nothing-by-default"] == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
    }
    for pod in PODS.values():
        roles = {c["name"] for c in pod["spec"]["containers"]}
        labels = pod["metadata"]["labels"]
        assert matches(policies["names-and-database"]["podSelector"], labels)
        for role in ("api", "worker"):
            assert matches(policies[role]["podSelector"], labels) == (role in roles)
        serves = "migrate" not in roles
        assert matches(policies["temporal"]["podSelector"], labels) == serves


def test_the_autoscaler_asks_for_a_measure_that_workers_expose() -> None:
    scaler = named("HorizontalPodAutoscaler", "assay-worker")["spec"]
    named("Deployment", scaler["scaleTargetRef"]["name"])
    rules = yaml.safe_load(named("ConfigMap", "prometheus-adapter")["data"]["config.yaml"])
    rule = rules["externalRules"][0]
    assert scaler["metrics"][0]["external"]["metric"]["name"] == rule["name"]["as"]
    measure = rule["seriesQuery"].partition("{")[0]
    alerts = (ROOT / "docs" / "telemetry" / "alerts.yml").read_text()
    assert measure in rule["metricsQuery"]
    assert measure in alerts
    assert set(re.findall(r'job="([\w-]+)"', str(rule))) == {"assay-worker"}


def test_prometheus_reads_the_query_of_the_autoscaler() -> None:
    parser = pytest.importorskip("promql_parser")
    rules = yaml.safe_load(named("ConfigMap", "prometheus-adapter")["data"]["config.yaml"])
    parser.parse(rules["externalRules"][0]["metricsQuery"])


def test_the_page_counts_the_connections_to_the_database() -> None:
    pool = int(named("ConfigMap", "assay")["data"]["ASSAY_DATABASE_POOL"]) + 10
    apis = named("Deployment", "assay-api")["spec"]["replicas"] + 1
    workers = named("HorizontalPodAutoscaler", "assay-worker")["spec"]["maxReplicas"] + 1
    text = " ".join(PAGE.split())
    total = f"{apis} API pods and {workers} workers (each one more during a rollout)"
    assert f"{total} open up to {pool * (apis + workers)}." in text

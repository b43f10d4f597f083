"""The files for operators name nothing that does not exist, and their own linters accept them where they are there."""

import json
import os
import platform
import re
import shutil
from pathlib import Path

import pytest
import yaml
from django.conf import settings

from tests.core.process import PYTHON, run
from tests.core.wsgi import request
from tokens.core.operations import metrics

ROOT = Path(settings.BASE_DIR)
FOLDER = ROOT / "docs" / "operations"
READABLE = [FOLDER / name for name in ("alerts.yml", "grafana.json", "runbook.md")]


@pytest.mark.django_db
@pytest.mark.parametrize("path", READABLE, ids=lambda path: path.name)
def test_names_series_that_there_are(path):
    metrics.answered("/auth/v1/ping", "GET", 200, 0.1)
    metrics.actions.labels("tokens:named_token:mint").inc()
    metrics.refused("InvalidCredential")
    metrics.pool_size.labels("idle").set(0)
    exposed = set(
        re.findall(
            r"^(registry_\w+?)(?:_bucket|_sum|_count)?(?:\{| )", request("GET", "/metrics").body.decode(), re.MULTILINE
        )
    )
    named = set(re.findall(r"\b(registry_\w+?)(?:_bucket|_sum|_count)?\b(?=[^a-z_])", path.read_text()))
    assert named <= exposed
    assert named


def test_shows_each_panel_of_the_dashboard_once():
    dashboard = json.loads((FOLDER / "grafana.json").read_text())
    places = [tuple(panel["gridPos"].values()) for panel in dashboard["panels"]]
    assert len(set(places)) == len(places) == len({panel["id"] for panel in dashboard["panels"]})


def test_links_each_alert_to_a_section_of_the_runbook():
    rules = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"][0]["rules"]
    titles = re.findall(r"^## (.+)$", (FOLDER / "runbook.md").read_text(), re.MULTILINE)
    anchors = {title.lower().replace(" ", "-") for title in titles}
    for rule in rules:
        path, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert (ROOT / path).is_file()
        assert not anchor or anchor in anchors


def test_links_to_files_and_sections_that_there_are():
    text = (FOLDER / "runbook.md").read_text()
    anchors = {title.lower().replace(" ", "-") for title in re.findall(r"^## (.+)$", text, re.MULTILINE)}
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in anchors
        else:
            assert (FOLDER / target).exists(), target


def test_describes_only_objects_that_kubernetes_knows():
    documents = list(yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text()))
    assert [document["kind"] for document in documents] == ["Deployment", "Service", "PodDisruptionBudget", "Ingress"]
    pod = documents[0]["spec"]["template"]["spec"]
    for container in [*pod["initContainers"], *pod["containers"]]:
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}


def test_serves_through_a_proxy_that_the_server_trusts():
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    (network,) = compose["networks"]["default"]["ipam"]["config"]
    assert compose["services"]["server"]["environment"]["TRUSTED_PROXIES"] == network["subnet"]
    assert {"postgres", "redis", "server", "nginx"} <= set(compose["services"])


# All but promtool (of Prometheus) come as wheels with what `make test` installs, two of them for x86-64 alone.
LINTERS = {
    "hadolint": ["Dockerfile"],
    "check-jsonschema": ["--builtin-schema", "vendor.compose-spec", "compose.yaml"],
    "kubernetes-validate": ["--strict", "docs/operations/kubernetes.yaml"],
    "shellcheck": [".ci/run"],
    "promtool": ["check", "rules", "docs/operations/alerts.yml"],
}


@pytest.mark.parametrize("linter", LINTERS)
def test_has_files_that_their_own_linters_accept(linter):
    found = shutil.which(linter, path=f"{Path(PYTHON).parent}{os.pathsep}{os.environ['PATH']}")
    is_optional = linter == "promtool" or platform.machine() != "x86_64" or "CI" not in os.environ
    if found is None and is_optional:
        pytest.skip(f"{linter} is not here.")
    assert found is not None
    done = run(found, *LINTERS[linter])
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here.")
def test_has_a_unit_that_systemd_accepts(tmp_path):
    unit = (FOLDER / "token-registry.service").read_text().replace("/opt/token-registry/.venv/bin/python", "/bin/true")
    (tmp_path / "token-registry.service").write_text(unit)
    done = run("systemd-analyze", "verify", str(tmp_path / "token-registry.service"))
    assert [line for line in done.stderr.splitlines() if "token-registry.service" in line] == []
    assert done.returncode == 0


def test_leaves_it_to_the_registry_to_refuse_what_is_too_large():
    (megabytes,) = re.findall(r"client_max_body_size (\d+)m;", (FOLDER / "nginx.conf").read_text())
    assert int(megabytes) * 2**20 > settings.MAX_BODY_BYTES


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not here.")
def test_has_a_configuration_that_nginx_accepts(tmp_path):
    key, certificate = str(tmp_path / "tls.key"), str(tmp_path / "tls.crt")
    subject = ["-subj", "/CN=x", "-days", "1", "-keyout", key, "-out", certificate]
    made = run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject)
    assert made.returncode == 0, made.stderr
    site = (FOLDER / "nginx.conf").read_text()
    site = site.replace("server server:7000", "server 127.0.0.1:7000").replace("/etc/nginx/tls", str(tmp_path))
    (tmp_path / "nginx.conf").write_text(
        f"pid {tmp_path}/pid; error_log stderr; events {{}} http {{ client_body_temp_path {tmp_path}; "
        f"proxy_temp_path {tmp_path}; fastcgi_temp_path {tmp_path}; uwsgi_temp_path {tmp_path}; "
        f"scgi_temp_path {tmp_path}; {site} }}"
    )
    done = run("nginx", "-t", "-c", str(tmp_path / "nginx.conf"))
    assert done.returncode == 0, done.stderr


READ = re.findall(r'env\.(\w+)\(\s*"([A-Z0-9_]+)"', (ROOT / "config" / "settings.py").read_text())
ENDINGS = {"lifetimes": ("_DEFAULT_LIFETIME", "_MAX_LIFETIME")}
SETTINGS = sorted({f"{name}{ending}" for function, name in READ for ending in ENDINGS.get(function, ("",))})


@pytest.mark.parametrize("name", SETTINGS)
def test_tells_of_every_setting(name):
    short = name.partition("_DEFAULT_LIFETIME")[0].partition("_MAX_LIFETIME")[0]
    readme, example = ((ROOT / file).read_text() for file in ("README.md", ".env.example"))
    assert re.search(rf"`{name}[`=]", readme) or (short != name and f"`{short}_" in readme)
    assert re.search(rf"^#.*\b{name}\b|^{name}=", example, re.MULTILINE)

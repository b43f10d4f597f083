"""Which part may import, write and say what."""

import ast
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.core.process import PYTHON, ROOT, run

APPS = ("tokens", "podcast_perf", "edi_auth")
SOURCES = {
    str(path.relative_to(ROOT)): ast.parse(path.read_text())
    for folder in (*APPS, "config")
    for path in sorted((ROOT / folder).rglob("*.py"))
}
BODY_KEYS = {"error", "data", "msg", "method"}


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def literals(tree: ast.AST) -> Iterator[str]:
    return (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))


def attributes(tree: ast.AST) -> Iterator[str]:
    """Every dotted name, such as `AuditEvent.objects.create`."""
    return (ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute))


def calls(tree: ast.AST) -> Iterator[str]:
    return (ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call))


def in_app(name: str) -> bool:
    return name.startswith(APPS)


def test_keeps_to_the_directions_of_imports():
    pyproject = ROOT / "pyproject.toml"
    if not pyproject.exists() or "importlinter" not in tomllib.loads(pyproject.read_text()).get("tool", {}):
        pytest.skip("pyproject.toml has no contracts for import-linter yet.")
    lint = Path(PYTHON).parent / "lint-imports"
    done = run(str(lint), "--no-cache", environment={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def test_imports_the_jwt_library_in_one_module():
    users = [name for name, tree in SOURCES.items() if any(module.split(".")[0] == "jwt" for module in imports(tree))]
    assert users == ["tokens/core/signing.py"]


def test_uses_md5_in_one_module():
    users = [
        name
        for name, tree in SOURCES.items()
        if any("md5" in word.lower() for word in [*imports(tree), *attributes(tree), *calls(tree)])
        or any(word.lower() == "md5" for word in literals(tree))
    ]
    assert users == ["edi_auth/pasta.py"]


def test_names_the_keys_of_bodies_in_dialects_and_schemas_alone():
    users = {
        name: sorted(BODY_KEYS & set(literals(tree)))
        for name, tree in SOURCES.items()
        if in_app(name) and BODY_KEYS & set(literals(tree))
    }
    elsewhere = {name: keys for name, keys in users.items() if not name.endswith(("/dialect.py", "/schema.py"))}
    assert {f"{app}/dialect.py" for app in APPS} <= set(users)
    assert elsewhere == {}


def test_writes_audit_events_in_one_module():
    ways = ("objects.create", "objects.bulk_create", "objects.get_or_create", "objects.update_or_create")
    writers = [
        name
        for name, tree in SOURCES.items()
        if "/migrations/" not in name
        and any(
            call == "AuditEvent" or (call.startswith("AuditEvent.") and call.endswith(ways)) for call in calls(tree)
        )
    ]
    assert writers == ["tokens/core/audit.py"]


def test_changes_and_deletes_no_audit_event():
    ways = (".update", ".delete", ".bulk_update")
    found = [(name, call) for name, tree in SOURCES.items() for call in calls(tree) if "AuditEvent" in call]
    assert not [(name, call) for name, call in found if call.endswith(ways)]


@pytest.mark.parametrize("app", APPS)
def test_writes_no_row_from_an_admin_or_a_command(app):
    ways = (".save", ".create", ".bulk_create", ".get_or_create", ".update_or_create", ".delete", "prepared.insert")
    callers = {
        name: [call for call in calls(tree) if call.endswith(ways) and not call.startswith("super()")]
        for name, tree in SOURCES.items()
        if name.startswith(f"{app}/") and (name.endswith(("/admin.py", "/views.py")) or "/management/" in name)
    }
    assert len(callers) >= 4
    assert {name: found for name, found in callers.items() if found} == {}


@pytest.mark.parametrize("app", APPS)
def test_has_the_same_rooms_in_every_app(app):
    rooms = {"models", "services", "dialect", "schema", "views", "urls", "admin", "apps", "setup"}
    assert not {room for room in rooms if f"{app}/{room}.py" not in SOURCES}


def test_knows_no_http_in_services():
    for app in APPS:
        modules = list(imports(SOURCES[f"{app}/services.py"]))
        assert "tokens.core.lifecycle" in modules
        assert not [module for module in modules if module.startswith(("rest_framework", "django.http"))]


def test_imports_no_app_in_what_all_share():
    for name, tree in SOURCES.items():
        if name.startswith("tokens/core/"):
            outside = [
                module for module in imports(tree) if module.split(".")[0] in {"podcast_perf", "edi_auth", "config"}
            ]
            assert outside == []
            assert not [m for m in imports(tree) if m.startswith("tokens.") and not m.startswith("tokens.core")]

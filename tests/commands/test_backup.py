"""`manage.py backup` and `manage.py restore`, with a server running."""

import os
import sqlite3
import stat
from contextlib import closing

import pytest

from tests.core.process import PYTHON, run
from tests.server import registry
from tests.settings import IS_SQLITE


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server on the embedded database, whatever the other tests run on."""
    made = registry.new(tmp_path_factory.mktemp("registry"))
    with made.serving():
        yield made


def create(server, name):
    answer = server.call("POST", "/_/token", {"name": name}, Authorization=f"Bearer {server.bearer}")
    assert answer.status == 201
    return answer.json()["data"][0]["token"]


def is_active(server, credential):
    bearer = f"Bearer {server.bearer}"
    return server.call("POST", "/introspect", {"token": credential}, Authorization=bearer).json()["active"]


def refused(server, *arguments):
    done = run(PYTHON, "manage.py", *arguments, environment=server.environment)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def test_goes_back_to_the_copy_while_the_server_runs(server, tmp_path):
    before = create(server, "before")
    server.manage("backup", str(tmp_path / "copy"))
    after = create(server, "after")
    bearer = {"Authorization": f"Bearer {server.bearer}"}
    server.call("DELETE", "/_/token", {"name": "before"}, **bearer)
    assert (is_active(server, before), is_active(server, after)) == (False, True)

    said = server.manage("restore", str(tmp_path / "copy"), "--yes")
    assert (is_active(server, before), is_active(server, after)) == (True, False)
    assert create(server, "still-writable")

    (kept,) = server.folder.glob("registry-before-restore-*.sqlite3")
    assert str(kept) in said
    with closing(sqlite3.connect(kept)) as database:
        rows = database.execute("SELECT name FROM tokens_namedtoken WHERE name IN ('before', 'after')").fetchall()
    assert sorted(rows) == [("after",), ("before",)]


def test_copies_all_that_was_acknowledged_into_one_file(server, tmp_path):
    for n in range(20):
        create(server, f"many-{n}")
    server.manage("backup", str(tmp_path / "copy"))
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]
    with closing(sqlite3.connect(tmp_path / "copy")) as database:
        (count,) = database.execute("SELECT count(*) FROM tokens_namedtoken WHERE name LIKE 'many-%'").fetchone()
    assert count == 20


def test_lets_nobody_else_read_the_copy(server, tmp_path):
    umask = os.umask(0)
    try:
        server.manage("backup", str(tmp_path / "copy"))
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "copy").stat().st_mode) == 0o600


def test_overwrites_nothing(server, tmp_path):
    (tmp_path / "copy").write_text("precious")
    code, said = refused(server, "backup", str(tmp_path / "copy"))
    assert (code, (tmp_path / "copy").read_text()) == (1, "precious")
    assert "is there already" in said


def test_asks_before_it_forgets(server, tmp_path):
    server.manage("backup", str(tmp_path / "copy"))
    code, said = refused(server, "restore", str(tmp_path / "copy"))
    assert code == 2
    assert "--yes" in said


@pytest.mark.parametrize("content", [b"", b"no database at all " * 100])
def test_restores_nothing_that_is_no_registry(server, tmp_path, content):
    (tmp_path / "copy").write_bytes(content)
    code, said = refused(server, "restore", str(tmp_path / "copy"), "--yes")
    assert code == 2
    assert str(tmp_path / "copy") in said
    assert is_active(server, server.bearer)


def test_restores_no_damaged_copy(server, tmp_path):
    server.manage("backup", str(tmp_path / "copy"))
    content = bytearray((tmp_path / "copy").read_bytes())
    content[8192:40960] = os.urandom(40960 - 8192)
    (tmp_path / "copy").write_bytes(content)
    assert refused(server, "restore", str(tmp_path / "copy"), "--yes")[0] == 2
    assert is_active(server, server.bearer)


def test_says_that_the_file_is_missing(server, tmp_path):
    code, said = refused(server, "restore", str(tmp_path / "missing"), "--yes")
    assert code == 1
    assert "There is no file" in said


def test_says_that_the_folder_is_missing(server, tmp_path):
    code, said = refused(server, "backup", str(tmp_path / "missing" / "copy"))
    assert code == 1
    assert f"There is no folder {tmp_path / 'missing'}." in said


@pytest.mark.skipif(IS_SQLITE, reason="Runs with the tests on PostgreSQL.")
@pytest.mark.parametrize("arguments", [["backup", "copy"], ["restore", "copy", "--yes"]])
@pytest.mark.django_db
def test_leaves_postgresql_to_its_own_tools(manage, arguments):
    outcome = manage(*arguments)
    assert outcome.code == 1
    assert "pg_dump" in outcome.err

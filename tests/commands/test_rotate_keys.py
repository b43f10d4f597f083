"""`manage.py rotate_keys`. (Each step, and what survives an interruption, is in `tests/core/test_rotation.py`.)"""

import os
from datetime import timedelta

import pytest

from tests.commands.conftest import line
from tests.edi_auth.forge import EDI_KEY, NOW, PASTA_KEY, REFRESH, edi, pasta, private_pem
from tests.factories import PerformanceTokenFactory

SECRETS = {"tokens": "TOKENS_SECRET_KEY", "performance": "PERFORMANCE_SECRET_KEY"}
FILES = ["edi", "pasta"]
OLD = "the-secret-of-before-which-has-32-bytes-or-more"

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


@pytest.fixture(autouse=True)
def folder(tmp_path, settings, monkeypatch):
    """Keys and `.env` in a folder of the test."""
    for name, key in (("edi", EDI_KEY), ("pasta", PASTA_KEY)):
        (tmp_path / f"{name}.pem").write_bytes(private_pem(key))
        (tmp_path / f"{name}.pem").chmod(0o600)
    (tmp_path / ".env").write_text("".join(f"{name}={OLD}\n" for name in SECRETS.values()))
    settings.EDI_JWT_PRIVATE_KEY_PATH = tmp_path / "edi.pem"
    settings.PASTA_PRIVATE_KEY_PATH = tmp_path / "pasta.pem"
    settings.ENV_FILE = tmp_path / ".env"
    for name in ("TOKENS_SECRET_KEY", "PERFORMANCE_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("signer", [*FILES, *SECRETS])
def test_goes_through_all_steps_and_says_what_is_next(manage, signer):
    told = []
    for _ in range(3):
        outcome = manage("rotate_keys", signer, "--force", "--json")
        assert (outcome.code, outcome.document["signer"]) == (0, signer)
        told.append(outcome.document["next"])
    assert told == ["sign", "retire", "publish"]


@pytest.mark.parametrize("signer", SECRETS)
def test_says_that_it_is_done_where_the_start_has_read_the_old_secret_from_the_file(manage, signer, monkeypatch):
    monkeypatch.setenv(SECRETS[signer], OLD)
    for following in ("sign", "retire", "publish"):
        outcome = manage("rotate_keys", signer, "--force", "--json")
        assert (outcome.code, outcome.document["next"]) == (0, following)


@pytest.mark.parametrize("signer", FILES)
def test_tells_when_the_next_step_may_be_taken(manage, folder, signer):
    manage("rotate_keys", signer)
    os.utime(folder / f"{signer}.next.pem", (NOW.timestamp(), NOW.timestamp()))
    refused = manage("rotate_keys", signer)
    assert (refused.code, refused.out) == (1, "")
    assert "sign is not due until 2027-01-04 12:15:00 UTC." in refused.err
    signed = manage("rotate_keys", signer, "--force", "--json").document
    assert signed["due_at"] == "2027-01-04T20:00:00+00:00"
    assert "The old one can go at 2027-01-04 20:00:00 UTC." in signed["done"]


@pytest.mark.skipif(os.geteuid() != 0, reason="Nobody but root gives files away.")
@pytest.mark.parametrize("signer", [*FILES, *SECRETS])
def test_leaves_to_the_owner_what_root_rotates(manage, folder, signer):
    for path in (folder, *folder.iterdir()):
        os.chown(path, 4711, 4712)
    for _ in range(2):
        assert manage("rotate_keys", signer, "--force").code == 0
    assert {(path.stat().st_uid, path.stat().st_gid) for path in folder.iterdir()} == {(4711, 4712)}


@pytest.mark.parametrize("signer", FILES)
def test_passes_over_a_file_that_is_named_like_no_moment(manage, folder, signer):
    (folder / f"{signer}.old-999999999999.pem").write_bytes((folder / f"{signer}.pem").read_bytes())
    assert manage("rotate_keys", signer, "--json").document["next"] == "sign"


@pytest.mark.parametrize("signer", [*FILES, *SECRETS])
@pytest.mark.parametrize("step", ["sign", "retire"])
def test_does_nothing_unless_it_is_the_turn_of_the_step(manage, folder, signer, step):
    before = content(folder)
    outcome = manage("rotate_keys", signer, "--step", step, "--force")
    assert (outcome.code, outcome.out) == (1, "")
    assert f"The next step of {signer} is publish, not {step}." in outcome.err
    assert content(folder) == before


@pytest.mark.parametrize("signer", [*FILES, *SECRETS])
def test_prints_no_key_and_no_secret(manage, folder, signer):
    said = ""
    for _ in range(2):
        outcome = manage("rotate_keys", signer, "--force")
        said += outcome.out + outcome.err
    for line_ in (folder / ".env").read_text().splitlines():
        name, _, value = line_.partition("=")
        assert name.endswith("_AT") or value not in said
    assert "PRIVATE KEY-----" not in said


@pytest.mark.parametrize("signer", [*FILES, *SECRETS])
def test_touches_the_keys_of_no_other_signer(manage, folder, signer):
    before = content(folder)
    for _ in range(2):
        manage("rotate_keys", signer, "--force")
    after = content(folder)
    others = [name for name in before if name != ".env" and not name.startswith(signer)]
    assert {name: after[name] for name in others} == {name: before[name] for name in others}
    for other in SECRETS.keys() - {signer}:
        assert f"{SECRETS[other]}={OLD}\n".encode() in after[".env"]


@pytest.mark.parametrize("signer", FILES)
def test_stops_nothing_that_was_issued_before(manage, api, folder, signer):
    tokens = {"pasta-token": pasta(), "edi-token": edi()}
    for number in range(2):
        manage("rotate_keys", signer, "--force")
        os.utime(folder, ns=(0, number))
        assert api.call("POST", REFRESH, tokens).status_code == 200


@pytest.mark.parametrize("signer", SECRETS)
def test_refuses_a_secret_that_is_not_in_the_file(manage, folder, signer):
    (folder / ".env").write_text("PORT=7000\n")
    outcome = manage("rotate_keys", signer)
    assert (outcome.code, outcome.out) == (1, "")
    assert f"{SECRETS[signer]} is not in {folder / '.env'}" in outcome.err
    assert (folder / ".env").read_text() == "PORT=7000\n"


def test_waits_for_the_last_performance_token_of_the_old_secret(manage):
    PerformanceTokenFactory(created_at=NOW - timedelta(minutes=1))
    for _ in range(2):
        manage("rotate_keys", "performance", "--force")
    outcome = manage("rotate_keys", "performance")
    assert outcome.code == 1
    assert "Until then tokens of the old secret are in use." in outcome.err


@pytest.mark.parametrize("arguments", [[], ["nobody"], ["edi", "--step", "nothing"], ["edi", "pasta"]], ids=line)
def test_refuses_wrong_usage(manage, folder, arguments):
    before = content(folder)
    assert manage("rotate_keys", *arguments).code == 2
    assert content(folder) == before


@pytest.mark.parametrize("signer", FILES)
def test_says_in_a_sentence_that_it_cannot_write(manage, folder, signer):
    (folder / f"{signer}.next.pem").symlink_to(folder / "nowhere")
    outcome = manage("rotate_keys", signer)
    assert (outcome.code, outcome.out) == (1, "")
    assert "Traceback" not in outcome.err

"""`tokens.core.rotation`: publish, sign, retire, and a crash between any two operations on files.

A process that is killed runs no `finally`: once `Killed` was raised, every later operation on files fails, too.
"""

import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from config import env
from edi_auth import services as edi_services
from edi_auth.revocations import Snapshot
from edi_auth.setup import new_edi_key, write_key
from tests.edi_auth.forge import other_pasta_key
from tests.factories import NamedTokenFactory, PerformanceTokenFactory
from tokens import services as token_services
from tokens.core import rotation
from tokens.core.errors import Forbidden, InvalidCredential
from tokens.core.rotation import PUBLISH_FOR, FileSigner, SecretSigner, Step, take

NOW = datetime(2027, 1, 4, 12, tzinfo=UTC)
LIFETIME = timedelta(hours=8)
STEPS = ["publish", "sign", "retire"]
NAME = "TOKENS_SECRET_KEY"
OLD = "the-secret-of-before-which-has-32-bytes-or-more"


class Killed(BaseException):
    """The process is gone."""


class Reaper:
    """Kills at the operation on files with a number, 0 never."""

    def __init__(self, monkeypatch):
        self.done, self.number = 0, 0
        for owner, name in [
            *((os, name) for name in ("link", "fsync", "fdopen")),
            *((Path, name) for name in ("replace", "rename", "unlink", "write_text", "write_bytes")),
        ]:
            monkeypatch.setattr(owner, name, self.watched(getattr(owner, name)))

    def watched(self, operation):
        def run(*args, **kwargs):
            self.done += 1
            if self.number and self.done >= self.number:
                raise Killed
            return operation(*args, **kwargs)

        return run

    def kill_at(self, number):
        self.done, self.number = 0, number

    def spare(self):
        self.done, self.number = 0, 0


@pytest.fixture
def reaper(monkeypatch):
    return Reaper(monkeypatch)


@pytest.fixture
def folder(tmp_path, settings):
    """A folder with a key of EDI tokens and nothing else."""
    settings.EDI_JWT_PRIVATE_KEY_PATH = new_edi_key(tmp_path / "keys" / "edi.pem")
    return tmp_path / "keys"


@pytest.fixture
def edi(folder):
    """The signer of EDI tokens, whose key files are in `folder`."""
    return FileSigner("edi", lambda: folder / "edi.pem", new_edi_key, lambda: LIFETIME)


def seen(folder):
    """Let the rings look again, however coarse the clock of the file system is."""
    seen.count += 1
    os.utime(folder, ns=(0, seen.count))


seen.count = 0


def sign_edi(folder):
    seen(folder)
    return edi_services.ring().sign({"sub": "x"})


def verifies_edi(folder, *tokens):
    seen(folder)
    return all(edi_services.ring().verify(token) == {"sub": "x"} for token in tokens)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def force(signer, *, step=None, now=NOW):
    return take(signer, step, is_forced=True, now=now)


def test_knows_a_signer_for_every_key_there_is():
    assert set(rotation.signers()) == {"edi", "pasta", "tokens", "performance"}


def test_goes_from_one_key_to_the_next_in_three_steps(edi, folder):
    first = (folder / "edi.pem").read_bytes()
    force(edi)
    assert names(folder) == ["edi.next.pem", "edi.pem"]
    assert (folder / "edi.pem").read_bytes() == first
    second = (folder / "edi.next.pem").read_bytes()
    force(edi)
    assert names(folder) == [f"edi.old-{int(NOW.timestamp())}.pem", "edi.pem"]
    assert (folder / "edi.pem").read_bytes() == second != first
    force(edi)
    assert names(folder) == ["edi.pem"]
    assert (folder / "edi.pem").read_bytes() == second


def test_verifies_what_was_signed_before_until_the_old_key_is_retired(edi, folder):
    tokens = [sign_edi(folder)]
    for _ in range(2):
        force(edi)
        tokens.append(sign_edi(folder))
        assert verifies_edi(folder, *tokens)
    force(edi)
    assert verifies_edi(folder, tokens[-1])
    with pytest.raises(InvalidCredential):
        verifies_edi(folder, tokens[0])


def test_shows_the_next_key_before_it_signs(edi, folder):
    force(edi)
    seen(folder)
    published = {key.kid for key in edi_services.ring().keys}
    force(edi)
    seen(folder)
    assert edi_services.ring().keys[0].kid in published


def test_keeps_every_key_from_everybody_else(edi, folder):
    for _ in range(2):
        force(edi)
        assert {stat.S_IMODE((folder / name).stat().st_mode) for name in names(folder)} == {0o600}


def test_rotates_a_pasta_key_likewise(tmp_path):
    signer = FileSigner(
        "pasta", lambda: tmp_path / "pasta.pem", lambda path: write_key(path, other_pasta_key()), lambda: LIFETIME
    )
    write_key(tmp_path / "pasta.pem", other_pasta_key())
    for _ in range(2):
        force(signer)
    assert names(tmp_path) == [f"pasta.old-{int(NOW.timestamp())}.pem", "pasta.pem"]


@pytest.mark.parametrize("taken", range(3))
@pytest.mark.parametrize("step", STEPS)
def test_takes_no_step_out_of_its_turn(edi, folder, taken, step):
    for _ in range(taken):
        force(edi)
    before = names(folder)
    if step == STEPS[taken]:
        force(edi, step=step)
        assert names(folder) != before
    else:
        with pytest.raises(Forbidden, match=f"The next step of edi is {STEPS[taken]}, not {step}"):
            force(edi, step=step)
        assert names(folder) == before


def test_may_publish_at_once(edi):
    assert edi.next_step(NOW) == Step("publish", NOW)


@pytest.mark.parametrize(("early", "is_due"), [(timedelta(seconds=1), False), (timedelta(0), True)])
def test_signs_when_caches_know_the_next_key(edi, folder, early, is_due):
    force(edi)
    os.utime(folder / "edi.next.pem", (NOW.timestamp(), NOW.timestamp()))
    moment = NOW + PUBLISH_FOR - early
    assert edi.next_step(moment).due_at == NOW + PUBLISH_FOR
    if is_due:
        take(edi, None, is_forced=False, now=moment)
        assert not (folder / "edi.next.pem").exists()
    else:
        with pytest.raises(Forbidden, match="2027-01-04 12:15:00 UTC"):
            take(edi, None, is_forced=False, now=moment)
        assert (folder / "edi.next.pem").exists()


@pytest.mark.parametrize(("early", "is_due"), [(timedelta(seconds=1), False), (timedelta(0), True)])
def test_retires_when_the_last_token_of_the_old_key_is_gone(edi, folder, early, is_due):
    force(edi)
    force(edi)
    if is_due:
        take(edi, None, is_forced=False, now=NOW + LIFETIME - early)
        assert names(folder) == ["edi.pem"]
    else:
        with pytest.raises(Forbidden, match="2027-01-04 20:00:00 UTC"):
            take(edi, None, is_forced=False, now=NOW + LIFETIME - early)
        assert len(names(folder)) == 2


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["edi", "pasta"])
def test_waits_for_tokens_that_were_made_to_last_longer_than_those_of_today(folder, settings, clock, name):
    settings.EDI_TOKEN_HOURS = 24
    Snapshot().note_hours(now=NOW)
    settings.EDI_TOKEN_HOURS = 1
    settings.EDI_JWT_PRIVATE_KEY_PATH, settings.PASTA_PRIVATE_KEY_PATH = folder / "edi.pem", folder / "pasta.pem"
    (folder / f"{name}.old-{int(NOW.timestamp())}.pem").touch()
    assert rotation.signers()[name].next_step(NOW).due_at == NOW + timedelta(hours=24)


def test_waits_for_the_youngest_of_several_old_keys(edi, folder):
    (folder / "edi.old-1790000000.pem").write_bytes((folder / "edi.pem").read_bytes())
    old = folder / f"edi.old-{int(NOW.timestamp())}.pem"
    new_edi_key(old)
    assert edi.next_step(NOW) == Step("retire", NOW + LIFETIME, "Until then tokens of the old key are in use.")
    force(edi)
    assert names(folder) == ["edi.pem"]


def test_signs_with_the_next_key_where_the_one_that_signed_is_lost(edi, folder):
    for step in (edi.publish, edi.sign, edi.publish):
        step(NOW)
    following = (folder / "edi.next.pem").read_bytes()
    (folder / "edi.pem").unlink()
    force(edi, step="sign", now=NOW + timedelta(hours=1))
    assert names(folder) == [f"edi.old-{int(NOW.timestamp())}.pem", "edi.pem"]
    assert (folder / "edi.pem").read_bytes() == following


def test_keeps_the_keys_of_before_when_another_takes_the_place_of_theirs(edi, folder):
    tokens = [sign_edi(folder)]
    for number in range(2):
        edi.publish(NOW)
        edi.sign(NOW + timedelta(hours=number))
        tokens.append(sign_edi(folder))
    assert len(names(folder)) == 3
    assert verifies_edi(folder, *tokens)


def test_never_touches_a_key_that_only_looks_like_an_old_one(edi, folder):
    for name in ("edi.old-.pem", "edi.old-x.pem", "edi.2026.pem", "edi.old-1.pem.bak", "edit.old-1.pem"):
        new_edi_key(folder / name)
    assert edi.next_step(NOW).name == "publish"


@pytest.mark.parametrize("pid", ["the same", "another"])
@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("step", STEPS)
def test_goes_on_after_it_was_killed_between_any_two_operations(edi, folder, reaper, monkeypatch, step, number, pid):
    """In a container every run of a command may have the same process id."""
    tokens = [sign_edi(folder)]
    for _ in range(STEPS.index(step)):
        force(edi)
        tokens.append(sign_edi(folder))
    live = tokens[1:] if step == "retire" else tokens
    reaper.kill_at(number)
    try:
        force(edi)
    except Killed:
        reaper.spare()
        assert verifies_edi(folder, *live[-1:])
        if step != "retire":
            assert verifies_edi(folder, *live)
        if pid == "another":
            monkeypatch.setattr(os, "getpid", lambda: 2**22)
        if edi.next_step(NOW).name == step:
            force(edi)
    reaper.spare()
    following = STEPS[(STEPS.index(step) + 1) % 3]
    assert edi.next_step(NOW).name == following
    assert verifies_edi(folder, *(live if step != "retire" else live[-1:]))
    while edi.next_step(NOW).name != "publish":
        force(edi, now=NOW + timedelta(days=2))
    assert [name for name in names(folder) if not name.startswith(".")] == ["edi.pem"]


def test_counts_the_old_keys_end_from_when_it_really_signed_for_the_last_time(edi, folder, reaper):
    force(edi)
    reaper.kill_at(2)
    with pytest.raises(Killed):
        force(edi)
    reaper.spare()
    assert edi.next_step(NOW).name == "sign"
    later = NOW + timedelta(hours=7)
    force(edi, now=later)
    assert edi.next_step(later).name == "retire"
    assert edi.next_step(later).due_at >= later + LIFETIME


def test_says_in_a_sentence_what_it_did(edi):
    assert force(edi) == "Published the next key of edi; it may sign from 2027-01-04 12:15:00 UTC on."
    assert force(edi) == "edi signs with the new key. The old one can go at 2027-01-04 20:00:00 UTC."
    assert force(edi) == f"Deleted edi.old-{int(NOW.timestamp())}.pem."


@pytest.fixture
def env_file(tmp_path, monkeypatch):
    """A `.env` with a secret and other things, none of which the environment has besides."""
    for name in (NAME, "PERFORMANCE_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / ".env"
    path.write_text(f"# settings\nSECRET_KEY=a b\n{NAME}={OLD}\n\nPORT=7000\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def tokens(env_file):
    """The signer of named tokens; the last token of an old secret is gone an hour after the rotation."""
    return SecretSigner("tokens", NAME, lambda: env_file, lambda at: (at + timedelta(hours=1), "An hour."))


@pytest.fixture
def restarted(env_file, settings, monkeypatch):
    """Read `.env` as a server that is started does."""

    def restart():
        for name in (NAME, f"{NAME}_NEXT", f"{NAME}_FALLBACKS"):
            monkeypatch.delenv(name, raising=False)
        env.load(env_file)
        settings.TOKENS_SECRET_KEY = env.text(NAME)
        settings.TOKENS_SECRET_KEY_NEXT = env.text(f"{NAME}_NEXT")
        settings.TOKENS_SECRET_KEY_FALLBACKS = tuple(env.texts(f"{NAME}_FALLBACKS"))
        for name in (NAME, f"{NAME}_NEXT", f"{NAME}_FALLBACKS", f"{NAME}_ROTATED_AT"):
            monkeypatch.delenv(name, raising=False)
        return token_services.ring()

    return restart


def variables(path):
    return dict(line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)


def test_goes_from_one_secret_to_the_next_in_three_steps(tokens, env_file):
    force(tokens)
    published = variables(env_file)
    assert published[NAME] == OLD
    assert len(published[f"{NAME}_NEXT"]) >= 43
    force(tokens)
    signing = variables(env_file)
    assert signing[NAME] == published[f"{NAME}_NEXT"]
    assert signing[f"{NAME}_FALLBACKS"] == OLD
    assert signing[f"{NAME}_ROTATED_AT"] == str(int(NOW.timestamp()))
    assert f"{NAME}_NEXT" not in signing
    force(tokens)
    assert variables(env_file) == {"SECRET_KEY": "a b", NAME: signing[NAME], "PORT": "7000"}


def test_leaves_every_other_line_of_the_file_alone(tokens, env_file):
    for _ in range(3):
        force(tokens)
        lines = env_file.read_text().splitlines()
        assert [line for line in lines if NAME not in line] == ["# settings", "SECRET_KEY=a b", "", "PORT=7000"]
        assert env_file.read_text().endswith("\n")


def test_writes_the_file_that_a_link_leads_to(env_file, tmp_path):
    link = tmp_path / "linked.env"
    link.symlink_to(env_file)
    force(SecretSigner("tokens", NAME, lambda: link, lambda at: (at, "")))
    assert link.is_symlink()
    assert variables(env_file)[f"{NAME}_NEXT"]


def test_keeps_nothing_of_a_draft_that_another_run_has_left(tokens, env_file):
    (env_file.parent / "..env.draft").write_text("X=1\n" * 1000)
    force(tokens)
    assert set(variables(env_file)) == {"SECRET_KEY", NAME, f"{NAME}_NEXT", "PORT"}


def test_has_all_of_the_file_on_the_disk_before_it_replaces_the_other(tokens, env_file, monkeypatch):
    sizes = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: sizes.append(os.fstat(descriptor).st_size))
    force(tokens)
    assert sizes == [env_file.stat().st_size]


@pytest.mark.parametrize("step", ["publish", "sign", "next_step"])
def test_changes_no_file_that_the_environment_overrides(tokens, env_file, monkeypatch, step):
    before = env_file.read_text()
    monkeypatch.setenv(NAME, "another-secret-which-has-32-bytes-or-more")
    with pytest.raises(Forbidden, match=r"The environment has another TOKENS_SECRET_KEY than .*; rotate that"):
        take(tokens, None, is_forced=True, now=NOW) if step != "next_step" else tokens.next_step(NOW)
    assert env_file.read_text() == before


def test_reads_and_keeps_whatever_spelling_a_line_has(tokens, env_file, monkeypatch):
    monkeypatch.setenv(NAME, OLD)
    env_file.write_text(f"\ufeffexport {NAME}={OLD}\nexport PORT=7000\n")
    for _ in range(2):
        take(tokens, None, is_forced=True, now=NOW)
    lines = env_file.read_text().splitlines()
    assert lines[0].startswith(f"export {NAME}=")
    assert OLD not in lines[0]
    assert lines[1:3] == ["export PORT=7000", f"{NAME}_FALLBACKS={OLD}"]


def test_names_the_variable_that_it_cannot_change(tokens, env_file):
    env_file.write_text(f"{NAME}={OLD}\n{NAME}_FALLBACKS='an-older-secret-in-quotes-of-32-bytes'\n")
    with pytest.raises(Forbidden, match=f"Write {NAME}_FALLBACKS without quotes"):
        force(tokens)


def test_keeps_the_file_from_everybody_else(tokens, env_file):
    force(tokens)
    assert stat.S_IMODE(env_file.stat().st_mode) == 0o600


def test_leaves_no_draft_behind(tokens, env_file):
    force(tokens)
    assert names(env_file.parent) == [".env"]


def test_verifies_whatever_was_signed_by_whichever_server_was_restarted_last(tokens, restarted):
    """While servers are restarted one after the other, each must take what the others sign."""
    signed = [restarted().sign({"sub": "x"})]
    for _ in range(2):
        before = token_services.ring()
        force(tokens)
        signed.append(before.sign({"sub": "x"}))
        signed.append(restarted().sign({"sub": "x"}))
        assert [before.verify(signed[-1])] + [token_services.ring().verify(one) for one in signed] == [{"sub": "x"}] * (
            len(signed) + 1
        )


def test_rotates_again_and_keeps_all_old_secrets_until_they_are_retired(env_file, restarted):
    never = SecretSigner("tokens", NAME, lambda: env_file, lambda at: (None, "Some are about."))
    force(never)
    force(never)
    assert never.next_step(NOW).name == "retire"
    with pytest.raises(Forbidden, match="Some are about"):
        take(never, None, is_forced=False, now=NOW + timedelta(days=36500))
    assert OLD in restarted().keys[-1].verifying.decode()


@pytest.mark.parametrize("pid", ["the same", "another"])
@pytest.mark.parametrize("number", range(1, 7))
@pytest.mark.parametrize("step", STEPS)
def test_goes_on_with_a_secret_after_it_was_killed(tokens, env_file, restarted, reaper, monkeypatch, step, number, pid):
    old = restarted().sign({"sub": "x"})
    for _ in range(STEPS.index(step)):
        force(tokens)
    newest = restarted().sign({"sub": "x"})
    reaper.kill_at(number)
    try:
        force(tokens)
    except Killed:
        reaper.spare()
        assert restarted().verify(newest) == {"sub": "x"}
        if pid == "another":
            monkeypatch.setattr(os, "getpid", lambda: 2**22)
        if tokens.next_step(NOW).name == step:
            force(tokens)
    reaper.spare()
    assert tokens.next_step(NOW).name == STEPS[(STEPS.index(step) + 1) % 3]
    assert restarted().verify(newest) == {"sub": "x"}
    if step != "retire":
        assert restarted().verify(old) == {"sub": "x"}
    assert {"SECRET_KEY", "PORT", NAME} <= set(variables(env_file))


@pytest.mark.parametrize(
    "line",
    [
        f"{NAME}={OLD}",
        f'{NAME}="{OLD}"',
        f"{NAME}='{OLD}'",
        f"{NAME}={OLD} # made by hand",
        f"export {NAME}={OLD}",
        f"{NAME}=a,secret,with,commas,of,32,bytes,or,more",
        f'{NAME}="a secret with blanks of 32 bytes or more"',
        f"{NAME}={OLD}=",
        f"{NAME}={OLD}#x",
        f"{NAME}={OLD}\n{NAME}=a-second-value-that-nobody-reads-of-32-bytes",
    ],
    ids=lambda line: line[:60],
)
@pytest.mark.parametrize("fallback", [[], [f"{NAME}_FALLBACKS=an-older-secret-of-32-bytes-or-more-with-nothing-odd"]])
def test_rotates_a_secret_however_it_is_written_or_refuses_to(tokens, env_file, restarted, line, fallback):
    env_file.write_text("\n".join([line, *fallback, "PORT=7000"]) + "\n")
    before = restarted()
    signed = before.sign({"sub": "x"})
    secrets = [key.verifying for key in before.keys]
    try:
        tokens.publish(NOW)
        tokens.sign(NOW)
    except Forbidden:
        pass
    after = restarted()
    assert after.verify(signed) == {"sub": "x"}
    assert set(secrets) <= {key.verifying for key in after.keys}


@pytest.mark.parametrize("content", ["", "PORT=7000\n", f"# {NAME}=x\n", f"{NAME}_NEXT=x\n", f"X{NAME}=x\n", None])
def test_refuses_a_secret_that_is_not_in_the_file(tokens, env_file, content):
    if content is None:
        env_file.unlink()
    else:
        env_file.write_text(content)
    for step in (None, *STEPS):
        with pytest.raises(Forbidden, match=f"{NAME} is not in "):
            force(tokens, step=step)
    assert not env_file.exists() if content is None else env_file.read_text() == content


def test_retires_a_secret_when_its_tokens_are_gone(tokens):
    force(tokens)
    force(tokens)
    step = tokens.next_step(NOW)
    assert (step.name, step.remark) == ("retire", "An hour.")
    assert NOW + timedelta(hours=1) <= step.due_at < NOW + timedelta(days=1)
    with pytest.raises(Forbidden, match=f"{step.due_at:%Y-%m-%d %H:%M:%S} UTC"):
        take(tokens, None, is_forced=False, now=step.due_at - timedelta(seconds=1))
    assert take(tokens, None, is_forced=False, now=step.due_at).startswith("Forgot the old secrets")


@pytest.mark.parametrize("line", ["", f"{NAME}_ROTATED_AT=\n", f"{NAME}_ROTATED_AT=2027-01-04\n"], ids=repr)
def test_retires_no_secret_of_which_nobody_knows_when_it_last_signed(tokens, env_file, line):
    env_file.write_text(f"{NAME}=a-new-secret-which-has-32-bytes-or-more\n{NAME}_FALLBACKS={OLD}\n{line}")
    assert tokens.next_step(NOW).due_at is None
    with pytest.raises(Forbidden, match=f"retire is not due yet. Set {NAME}_ROTATED_AT to the Unix time"):
        take(tokens, None, is_forced=False, now=NOW)
    assert variables(env_file)[f"{NAME}_FALLBACKS"] == OLD
    force(tokens)
    assert env_file.read_text() == f"{NAME}=a-new-secret-which-has-32-bytes-or-more\n"


@pytest.fixture
def rotated_at(env_file, settings):
    """Publish and sign with a registered signer whose `.env` is that of the test."""
    settings.ENV_FILE = env_file
    env_file.write_text(f"{NAME}={OLD}\nPERFORMANCE_SECRET_KEY={OLD}\n")

    def rotate(name):
        signer = rotation.signers()[name]
        force(signer)
        force(signer)
        return signer

    return rotate


@pytest.mark.django_db
def test_keeps_the_old_secret_of_named_tokens_while_one_of_them_has_a_value_of_it(rotated_at, actor):
    before = NOW - timedelta(days=1)
    for name in ("rotated", "revoked"):
        NamedTokenFactory(name=name, created_at=before)
    signer = rotated_at("tokens")
    step = signer.next_step(NOW)
    assert (step.name, step.due_at) == ("retire", None)
    with pytest.raises(Forbidden, match="retire is not due yet"):
        take(signer, None, is_forced=False, now=NOW + timedelta(days=3650))
    assert step.remark.startswith("2 named tokens")
    token_services.rotate("rotated", actor=actor, now=NOW + timedelta(hours=1))
    assert signer.next_step(NOW).remark.startswith("1 named token has a value")
    token_services.revoke("revoked", actor=actor)
    assert signer.next_step(NOW).due_at <= NOW + timedelta(days=31)


@pytest.mark.django_db
def test_keeps_the_old_secret_of_named_tokens_while_a_value_in_its_grace_is_of_it(rotated_at, actor):
    NamedTokenFactory(name="ci", created_at=NOW - timedelta(days=1))
    signer = rotated_at("tokens")
    token_services.rotate("ci", actor=actor, grace=timedelta(days=7), now=NOW + timedelta(hours=1))
    assert signer.next_step(NOW).due_at >= NOW + timedelta(days=7, hours=1)


@pytest.mark.django_db
def test_keeps_the_old_secret_of_performance_tokens_until_the_last_of_them_expires(rotated_at):
    last = NOW + timedelta(hours=3)
    PerformanceTokenFactory(created_at=NOW - timedelta(hours=1), expires_at=last)
    PerformanceTokenFactory(created_at=NOW - timedelta(hours=2), expires_at=NOW - timedelta(hours=1))
    assert rotated_at("performance").next_step(NOW).due_at == last


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["tokens", "performance"])
def test_keeps_the_old_secret_for_what_was_signed_before_the_servers_were_restarted(rotated_at, name):
    """A server that runs goes on signing with the old secret until its restart."""
    signer = rotated_at(name)
    shortly_after = NOW + timedelta(minutes=1)
    if name == "tokens":
        NamedTokenFactory(created_at=shortly_after)
    else:
        PerformanceTokenFactory(created_at=shortly_after, expires_at=NOW + timedelta(hours=1))
    due_at = signer.next_step(NOW).due_at
    assert due_at is None if name == "tokens" else due_at >= NOW + timedelta(hours=1)

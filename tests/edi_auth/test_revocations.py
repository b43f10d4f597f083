"""What refreshes know of locks and revocations."""

import threading
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.db import InterfaceError, OperationalError, connection

from edi_auth import revocations, services
from edi_auth.models import Idp
from edi_auth.revocations import Snapshot
from tests.edi_auth.forge import NOW, REFRESH, SECONDS, UID, edi, edi_id, pasta
from tests.factories import GroupFactory, ProfileFactory
from tokens.core.errors import Forbidden, Unavailable
from tokens.core.operations import background, health
from tokens.models import DailyCount


class Threads:
    """Stands for `threading.Thread` and starts nothing."""

    def __init__(self):
        self.started = []

    def __call__(self, **options):
        return SimpleNamespace(start=lambda: self.started.append(options))


class Stop(BaseException):
    """Ends a loop that has no end."""


@pytest.fixture
def threads(monkeypatch):
    """The threads that would have been started."""
    made = Threads()
    fake = SimpleNamespace(Thread=made, Event=threading.Event, Lock=threading.Lock)
    monkeypatch.setattr(revocations, "threading", fake)
    return made


@pytest.fixture
def loop(monkeypatch):
    """Runs the loop of a snapshot with what `renew` does at each turn (an exception is raised); gives the pauses."""
    closed = []
    fake = SimpleNamespace(close=lambda: closed.append(True), settings_dict={"CONN_MAX_AGE": None})

    def run(snapshot, *turns):
        left, pauses = list(turns), []

        def renew():
            turn = left.pop(0)
            if turn is not None:
                raise turn

        def pause(seconds):
            pauses.append(seconds)
            if not left:
                raise Stop

        monkeypatch.setattr(Snapshot, "note_hours", lambda self, now: None)
        monkeypatch.setattr(background, "connection", fake)
        monkeypatch.setattr(background, "time", SimpleNamespace(sleep=pause))
        monkeypatch.setattr(Snapshot, "renew", lambda self: renew())
        with pytest.raises(Stop):
            snapshot._renew_for_ever()
        return SimpleNamespace(pauses=pauses, closed=len(closed))

    return run


def ask(api):
    return api.call("POST", REFRESH, {"pasta-token": pasta(), "edi-token": edi()})


@pytest.mark.django_db
@pytest.mark.parametrize("make", [ProfileFactory, GroupFactory])
def test_knows_a_lock_once_it_was_renewed(snapshot, make):
    row = make(locked_at=NOW)
    snapshot.check(row.edi_id, SECONDS)
    snapshot.renew()
    with pytest.raises(Forbidden):
        snapshot.check(row.edi_id, SECONDS)


@pytest.mark.django_db
def test_knows_the_moment_before_which_no_token_counts(snapshot):
    profile = ProfileFactory(tokens_valid_after=NOW)
    snapshot.renew()
    snapshot.check(profile.edi_id, SECONDS + 60)
    with pytest.raises(Forbidden):
        snapshot.check(profile.edi_id, SECONDS - 1)


@pytest.mark.django_db
def test_counts_a_lock_whatever_the_age_of_the_token(snapshot):
    profile = ProfileFactory(locked_at=NOW, tokens_valid_after=NOW - timedelta(days=1))
    snapshot.renew()
    with pytest.raises(Forbidden):
        snapshot.check(profile.edi_id, SECONDS + 10**9)


@pytest.mark.django_db
@pytest.mark.parametrize("is_locked_first", [True, False])
def test_keeps_a_lock_beside_another_profile_that_goes_by_the_same_name(snapshot, is_locked_first):
    address = "jane@example.org"

    def lock():
        return ProfileFactory(idp=Idp.MICROSOFT, idp_uid=address, locked_at=NOW)

    def end():
        return ProfileFactory(idp=Idp.GOOGLE, idp_uid="1234567890", email=address, tokens_valid_after=NOW)

    made = [lock(), end()] if is_locked_first else [end(), lock()]
    locked = next(row for row in made if row.locked_at)
    snapshot.renew()
    for issued_at in (SECONDS - 60, SECONDS + 60):
        with pytest.raises(Forbidden):
            snapshot.check(locked.edi_id, issued_at)


@pytest.mark.django_db
def test_counts_the_later_of_two_moments_of_profiles_that_go_by_the_same_name(snapshot):
    address, later = "jane@example.org", NOW + timedelta(hours=1)
    ProfileFactory(idp=Idp.MICROSOFT, idp_uid=address, tokens_valid_after=later)
    ProfileFactory(idp=Idp.GOOGLE, idp_uid="1234567890", email=address, tokens_valid_after=NOW)
    snapshot.renew()
    with pytest.raises(Forbidden):
        snapshot.check(edi_id(address), SECONDS + 60)
    snapshot.check(edi_id(address), later.timestamp())


@pytest.mark.django_db
def test_forgets_a_lock_that_was_taken_away(snapshot):
    profile = ProfileFactory(locked_at=NOW)
    snapshot.renew()
    type(profile).objects.update(locked_at=None)
    snapshot.renew()
    assert snapshot.check(profile.edi_id, SECONDS) is None


@pytest.mark.django_db
def test_has_nothing_against_anybody_else(snapshot):
    ProfileFactory(locked_at=NOW)
    free = ProfileFactory()
    snapshot.renew()
    assert snapshot.check(free.edi_id, 0) is None
    assert snapshot.check(edi_id("nobody"), 0) is None


@pytest.mark.django_db
def test_reads_only_who_is_locked_or_revoked(snapshot, django_assert_max_num_queries):
    ProfileFactory.create_batch(3)
    GroupFactory.create_batch(3)
    revoked = ProfileFactory(tokens_valid_after=NOW)
    with django_assert_max_num_queries(4):
        snapshot.renew()
    assert snapshot._revocations.keys() == {revoked.edi_id}


@pytest.mark.django_db
@pytest.mark.parametrize("exc", [OperationalError, InterfaceError])
def test_keeps_what_it_knows_when_the_database_fails(snapshot, exc):
    profile = ProfileFactory(locked_at=NOW)
    snapshot.renew()
    type(profile).objects.update(locked_at=None)

    def broken(execute, sql, params, many, context):
        raise exc

    with connection.execute_wrapper(broken), pytest.raises(exc):
        snapshot.renew()
    with pytest.raises(Forbidden):
        snapshot.check(profile.edi_id, SECONDS)


@pytest.mark.django_db
def test_forgets_no_revocation_however_old(snapshot):
    """Tokens of an earlier system, signed with the same key, may last for decades."""
    profile = ProfileFactory(tokens_valid_after=NOW - timedelta(days=3650))
    snapshot.renew()
    with pytest.raises(Forbidden):
        snapshot.check(profile.edi_id, (NOW - timedelta(days=3651)).timestamp())


def test_has_no_age_before_it_was_read():
    assert Snapshot().age() is None


@pytest.mark.django_db
def test_tells_its_age_in_seconds(snapshot, monkeypatch):
    monkeypatch.setattr(revocations, "time", SimpleNamespace(monotonic=lambda: 100.0, time=lambda: 0.0))
    snapshot.renew()
    monkeypatch.setattr(revocations, "time", SimpleNamespace(monotonic=lambda: 107.5, time=lambda: 0.0))
    assert snapshot.age() == 7.5


@pytest.mark.django_db
def test_grows_young_again_when_it_is_renewed(snapshot, monkeypatch):
    for moment in (100.0, 200.0):
        monkeypatch.setattr(revocations, "time", SimpleNamespace(monotonic=lambda: moment, time=lambda: 0.0))  # noqa: B023 — read at once
        snapshot.renew()
    assert snapshot.age() == 0


@pytest.mark.django_db
def test_does_not_grow_younger_by_a_failure(snapshot, monkeypatch):
    def broken(execute, sql, params, many, context):
        raise OperationalError

    monkeypatch.setattr(revocations, "time", SimpleNamespace(monotonic=lambda: 100.0, time=lambda: 0.0))
    snapshot.renew()
    monkeypatch.setattr(revocations, "time", SimpleNamespace(monotonic=lambda: 200.0, time=lambda: 0.0))
    with connection.execute_wrapper(broken), pytest.raises(OperationalError):
        snapshot.renew()
    assert snapshot.age() == 100


def test_starts_one_thread_that_holds_up_no_exit(threads):
    snapshot = Snapshot()
    snapshot.start()
    snapshot.start()
    (thread,) = threads.started
    assert thread["daemon"] is True
    assert thread["target"] == snapshot._renew_for_ever


def test_starts_one_thread_however_many_ask_at_once(threads):
    snapshot, barrier = Snapshot(), threading.Barrier(8)

    def start():
        barrier.wait(10)
        snapshot.start()

    callers = [threading.Thread(target=start) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(10)
    assert len(threads.started) == 1


def test_starts_a_thread_of_its_own_in_each_process(threads, monkeypatch):
    snapshot = Snapshot()
    for pid in (11, 11, 12, 12):
        monkeypatch.setattr(revocations, "os", SimpleNamespace(getpid=lambda pid=pid: pid))
        snapshot.start()
    assert len(threads.started) == 2


def test_renews_at_the_pace_of_the_settings(loop, settings):
    settings.EDI_REVOCATION_SECONDS = 7
    assert loop(Snapshot(), None, None, None).pauses == [7, 7, 7]


@pytest.mark.parametrize("exc", [OperationalError("away"), InterfaceError("closed")], ids=repr)
def test_tries_again_after_the_database_failed(loop, exc):
    ran = loop(Snapshot(), exc, exc, None, None)
    assert len(ran.pauses) == 4
    assert ran.closed == 2


@pytest.mark.parametrize("exc", [RuntimeError("x"), ValueError("x"), OSError("x")], ids=repr)
def test_tries_again_after_a_failure_that_nobody_foresaw(loop, exc):
    assert len(loop(Snapshot(), exc, None).pauses) == 2


def test_says_once_in_an_outage_that_the_last_snapshot_stays(loop, caplog):
    away = OperationalError("the password is hunter2")
    loop(Snapshot(), None, away, away, away, None, away)
    warnings = [record.getMessage() for record in caplog.records if record.name == "edi_auth.revocations"]
    assert len(warnings) == 2
    assert not any("hunter2" in warning for warning in warnings)


@pytest.fixture
def unread(monkeypatch, threads):
    """A snapshot that nobody has read yet, in the place of the one that refreshes ask."""
    fresh = Snapshot()
    monkeypatch.setattr(services, "snapshot", fresh)
    monkeypatch.setattr(revocations, "FIRST_SNAPSHOT_SECONDS", 0)
    return fresh


@pytest.mark.usefixtures("clock")
def test_makes_refreshes_wait_their_turn_while_it_was_never_read(api, unread):
    response = ask(api)
    assert response.status_code == 503
    assert int(response["Retry-After"]) > 0
    assert response.json()["method"] == "refreshToken"


@pytest.mark.usefixtures("unread", "clock")
def test_starts_with_the_first_refresh_that_asks(api, threads):
    ask(api)
    ask(api)
    assert len(threads.started) == 1


@pytest.mark.django_db
@pytest.mark.usefixtures("clock")
def test_answers_refreshes_as_soon_as_it_was_read(api, unread):
    ProfileFactory(idp_uid=UID, locked_at=NOW)
    assert ask(api).status_code == 503
    unread.renew()
    assert ask(api).status_code == 403


@pytest.mark.django_db
def test_waits_a_moment_for_the_very_first_reading(monkeypatch):
    profile = ProfileFactory(locked_at=NOW)
    row = {profile.edi_id: revocations.Revocation(is_locked=True, tokens_valid_after=0)}

    def read(self):
        self._revocations, self._loaded_at = row, 0.0
        self._has_loaded.set()

    monkeypatch.setattr(Snapshot, "_renew_for_ever", read)
    monkeypatch.setattr(revocations, "FIRST_SNAPSHOT_SECONDS", 10)
    with pytest.raises(Forbidden):
        Snapshot().check(profile.edi_id, SECONDS)


@pytest.mark.django_db
def test_waits_no_longer_than_that_takes(monkeypatch, unread):
    profile = ProfileFactory(locked_at=NOW)
    monkeypatch.setattr(Snapshot, "_renew_for_ever", Snapshot.renew)
    at_once = SimpleNamespace(Thread=lambda target, **_: SimpleNamespace(start=target), Event=threading.Event)
    monkeypatch.setattr(revocations, "threading", at_once)
    with pytest.raises(Forbidden):
        unread.check(profile.edi_id, SECONDS)


def test_waits_once_for_the_first_reading_however_many_ask(monkeypatch, threads):
    waited, now = [], [1000.0]

    def wait(self, seconds):
        waited.append(seconds)
        now[0] += seconds
        return False

    monkeypatch.setattr(threading.Event, "wait", wait)
    monkeypatch.setattr(revocations, "time", SimpleNamespace(monotonic=lambda: now[0], time=lambda: 0.0))
    fresh = Snapshot()
    for _ in range(3):
        with pytest.raises(Unavailable):
            fresh.check(edi_id("anybody"), SECONDS)
    assert waited == [revocations.FIRST_SNAPSHOT_SECONDS, 0, 0]


def test_does_not_know_anything_before_it_was_read(unread):
    with pytest.raises(Unavailable):
        unread.check(edi_id("anybody"), SECONDS)
    with pytest.raises(Unavailable):
        unread.longest_hours()


@pytest.fixture
def aged(snapshot, monkeypatch, settings):
    """Has the snapshot read so many seconds ago, where it may be 60 seconds old."""
    settings.EDI_REVOCATION_MAX_AGE = 60

    def age(seconds):
        snapshot._loaded_at = 1000.0
        monkeypatch.setattr(revocations, "time", SimpleNamespace(monotonic=lambda: 1000.0 + seconds, time=lambda: 0.0))

    return age


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(("seconds", "status"), [(0, 200), (60, 200), (61, 503), (10**6, 503)])
def test_answers_no_refresh_when_it_is_older_than_the_settings_allow(api, aged, seconds, status):
    aged(seconds)
    assert ask(api).status_code == status


@pytest.mark.usefixtures("clock")
def test_answers_refreshes_at_any_age_where_the_settings_name_none(api, aged, settings):
    settings.EDI_REVOCATION_MAX_AGE = 0
    aged(10**6)
    assert ask(api).status_code == 200


@pytest.mark.parametrize(
    ("seconds", "limit", "words"),
    [
        (0, 0, health.OK),
        (60, 0, health.OK),
        (61, 0, "61 s old; the database is away, or the thread is"),
        (30, 30, health.OK),
        (61, 90, "61 s old; the database is away, or the thread is"),
    ],
)
def test_is_ready_at_the_ages_at_which_refreshes_are_answered(
    snapshot, aged, settings, monkeypatch, seconds, limit, words
):
    settings.EDI_REVOCATION_MAX_AGE = limit
    monkeypatch.setattr(revocations, "snapshot", snapshot)
    aged(seconds)
    assert revocations.probe() == words


@pytest.mark.django_db
@pytest.mark.usefixtures("clock")
def test_knows_nothing_beyond_the_moment_it_was_begun(snapshot):
    snapshot.renew()
    assert snapshot.known_until <= SECONDS


@pytest.mark.django_db
def test_remembers_tokens_that_last_longer_than_those_of_today(snapshot, settings, time_machine):
    time_machine.move_to(NOW, tick=False)
    for settings.EDI_TOKEN_HOURS in (8, 24, 1):
        Snapshot().note_hours(now=NOW)
    snapshot.renew()
    assert snapshot.longest_hours() == 24
    for days, hours in ((1, 24), (2, 24), (3, 1)):
        time_machine.move_to(NOW + timedelta(days=days), tick=False)
        snapshot.renew()
        assert snapshot.longest_hours() == hours


@pytest.mark.django_db
def test_notes_how_long_tokens_last_once_a_day(snapshot, settings, django_assert_num_queries):
    snapshot.note_hours(now=NOW)
    with django_assert_num_queries(0):
        snapshot.note_hours(now=NOW + timedelta(hours=1))
    snapshot.note_hours(now=NOW + timedelta(days=1))
    assert DailyCount.objects.filter(name=revocations.TOKEN_HOURS).count() == 2


@pytest.mark.django_db
def test_notes_and_reads_how_long_tokens_last_at_its_turns(snapshot, settings):
    settings.EDI_TOKEN_HOURS = 24
    snapshot._turn()
    settings.EDI_TOKEN_HOURS = 8
    snapshot._turn()
    assert snapshot.longest_hours() == 24


@pytest.mark.django_db
def test_reads_revocations_where_it_cannot_note_how_long_tokens_last(snapshot, monkeypatch, caplog):
    def refuse(*args, **kwargs):
        raise OperationalError("the password is hunter2")

    monkeypatch.setattr(revocations.counters, "note_most", refuse)
    profile = ProfileFactory(locked_at=NOW)
    snapshot._turn()
    with pytest.raises(Forbidden):
        snapshot.check(profile.edi_id, SECONDS)
    assert "the lifetime of tokens cannot be stored (OperationalError)" in caplog.text
    assert "hunter2" not in caplog.text


@pytest.mark.django_db
@pytest.mark.parametrize("hours", [1, 2, 7, 8, 24, 744])
@pytest.mark.parametrize("ending", ["lock", "revocation"])
def test_keeps_a_pasta_token_dead_whatever_the_lifetime_is_today(
    snapshot, settings, time_machine, actor, ending, hours
):
    time_machine.move_to(NOW, tick=False)
    profile = ProfileFactory(idp_uid=UID)
    snapshot.note_hours(now=NOW)
    raw = pasta()
    services.verify_pasta(raw, NOW)
    time_machine.move_to(NOW + timedelta(hours=1), tick=False)
    if ending == "lock":
        services.set_locked(profile, True, actor=actor)
    else:
        services.end_tokens(profile, actor=actor)
    settings.EDI_TOKEN_HOURS = hours
    snapshot.renew()
    with pytest.raises(Forbidden):
        services.verify_pasta(raw, NOW + timedelta(hours=1))


@pytest.mark.django_db
@pytest.mark.parametrize("hours", [1, 8, 744])
def test_keeps_a_pasta_token_alive_whatever_the_lifetime_is_today(snapshot, settings, time_machine, hours):
    time_machine.move_to(NOW, tick=False)
    ProfileFactory(idp_uid=UID)
    snapshot.note_hours(now=NOW)
    settings.EDI_TOKEN_HOURS = hours
    snapshot.renew()
    assert services.verify_pasta(pasta(), NOW + timedelta(hours=7)).kind == "pasta_token"

"""The overview: counts, chart, what ends next, events, warnings; and where the counts come from."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from edi_auth.services import EXCHANGES
from podcast_perf import services as podcast_services
from tests.admin.conftest import member
from tests.factories import ApiKeyFactory, NamedTokenFactory, PerformanceTokenFactory, ProfileFactory, secret_of
from tokens import services
from tokens.core.models import DailyCount, digest
from tokens.core.operations import counters
from tokens.models import AuditEvent, NamedToken, OperatorPolicy

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def overview(browser):
    return browser.get(reverse("admin:index"))


def make_every_state():
    now, day = timezone.now(), timedelta(days=1)
    NamedTokenFactory()
    NamedTokenFactory(expires_at=now + 3 * day)
    NamedTokenFactory(expires_at=now - day)
    NamedTokenFactory(revoked_at=now)
    NamedTokenFactory(is_active=False)


def test_counts_each_kind_by_what_it_is(admin):
    make_every_state()
    (card,) = [card for card in overview(admin).context["cards"] if card["label"] == "named tokens"]
    assert card["usable"] == 2
    assert [number for _, number, _ in card["numbers"]] == [1, 1, 1]


def test_leads_to_the_list_that_a_number_counts(admin):
    make_every_state()
    (card,) = [card for card in overview(admin).context["cards"] if card["label"] == "named tokens"]
    for _, number, url in card["numbers"]:
        assert len(admin.get(url).context["cl"].result_list) == number


def test_counts_a_large_table_in_the_background(admin, monkeypatch):
    monkeypatch.setattr(counters, "SMALL", 0)
    make_every_state()
    now = timezone.now()
    assert counters.stock(NamedToken, now=now)["usable"] == 2
    NamedTokenFactory()
    assert counters.stock(NamedToken, now=now)["usable"] == 2
    counters.tick([NamedToken], now=now + timedelta(seconds=counters.STOCK_SECONDS + 1))
    assert counters.stock(NamedToken, now=now)["usable"] == 3


def test_lets_one_process_count(monkeypatch):
    monkeypatch.setattr(counters, "SMALL", 0)
    NamedTokenFactory()
    counts = []
    for now in (NOW, NOW + timedelta(seconds=1)):
        with CaptureQueriesContext(connection) as queries:
            counters.tick([NamedToken], now=now)
        counts.append(len([query for query in queries if "COUNT(" in query["sql"]]))
    assert counts[0] > 0
    assert counts[1] == 0


def test_counts_what_was_minted_on_each_day_and_a_finished_day_once():
    for back in (0, 1, 1, 29, 30):
        NamedTokenFactory(created_at=NOW - timedelta(days=back))
    first = counters.minted([NamedToken], days=30, now=NOW)["named_token"]
    assert (first[-1], first[-2], first[0], sum(first)) == (1, 2, 1, 4)
    NamedToken.objects.all().delete()
    assert counters.minted([NamedToken], days=30, now=NOW)["named_token"] == [*first[:-1], 0]


def test_counts_exchanges_and_refreshes_without_touching_the_database_for_a_refresh(api, admin, snapshot):
    key = ApiKeyFactory()
    pair = api.call("POST", "/auth/v1/key", {"key": secret_of(key)}).json()
    body = {"pasta-token": pair["pasta-token"], "edi-token": pair["edi-token"]}
    with CaptureQueriesContext(connection) as queries:
        assert api.call("POST", "/auth/v1/token/refresh", body).status_code == 200
    assert len(queries) == 0
    counters.flush()
    counters.flush()
    tallies = {tally["label"]: (tally["today"], tally["month"]) for tally in overview(admin).context["tallies"]}
    assert tallies == {"API keys exchanged": (1, 1), "Tokens refreshed": (1, 1)}


def test_forgets_no_count_that_could_not_be_stored(monkeypatch):
    EXCHANGES.add()
    with monkeypatch.context() as patch:
        patch.setattr(DailyCount.objects, "get_or_create", lambda **_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            counters.flush()
    counters.flush()
    assert DailyCount.objects.get().count == 1


def test_counts_what_a_large_table_got_today_behind_the_scenes(monkeypatch):
    monkeypatch.setattr(counters, "SMALL", 0)
    NamedTokenFactory(created_at=NOW - timedelta(hours=1))
    counters.tick([NamedToken], now=NOW)
    NamedTokenFactory(created_at=NOW)
    assert counters.minted([NamedToken], days=2, now=NOW) == {"named_token": [0, 1]}
    counters.tick([NamedToken], now=NOW + timedelta(seconds=counters.STOCK_SECONDS + 1))
    assert counters.minted([NamedToken], days=2, now=NOW) == {"named_token": [0, 2]}
    NamedTokenFactory(created_at=NOW + timedelta(hours=1))
    assert counters.minted([NamedToken], days=2, now=NOW + timedelta(days=1)) == {"named_token": [3, 0]}


def test_lists_what_ends_next_with_its_owner(admin):
    now = timezone.now()
    ApiKeyFactory(name="later", expires_at=now + timedelta(days=9))
    owner = ProfileFactory(common_name="Ada Moss")
    ApiKeyFactory(name="sooner", owner=owner, expires_at=now + timedelta(days=2))
    NamedTokenFactory(expires_at=now + timedelta(days=1), revoked_at=now)
    expiring = overview(admin).context["expiring"]
    assert [one["row"].name for one in expiring] == ["sooner", "later"]
    assert expiring[0]["owner"] == "Ada Moss"


def test_lets_no_name_turn_around_the_words_about_it(admin, actor):
    services.mint("ci\u202e", actor=actor)
    page = admin.get(reverse("admin:index")).content.decode()
    assert "<bdi>ci\u202e</bdi></b> by <bdi>" in page


def test_shows_viewers_no_events_and_no_warnings():
    context = overview(member("viewers")).context
    assert "events" not in context
    assert context["warnings"] == []
    assert len(context["cards"]) == 4


def test_shows_those_without_a_role_nothing():
    response = overview(member())
    assert response.status_code == 200
    assert response.context["cards"] == []


def test_warns_of_a_secret_that_is_missing(admin, settings):
    settings.TOKENS_SECRET_KEY = ""
    assert any("TOKENS_SECRET_KEY is not set" in sentence for sentence in overview(admin).context["warnings"])


def test_warns_of_a_key_file_that_others_can_read(admin, settings, tmp_path):
    path = tmp_path / "edi.pem"
    path.write_bytes(settings.EDI_JWT_PRIVATE_KEY_PATH.read_bytes())
    path.chmod(0o644)
    settings.EDI_JWT_PRIVATE_KEY_PATH = path
    assert any("can be read by other users" in sentence for sentence in overview(admin).context["warnings"])


def test_warns_of_the_first_password_until_it_is_changed(admin, operator):
    OperatorPolicy.objects.create(user=operator, first_password=digest(operator.password))
    warned = "jane still signs in with the password that the first run printed. Change it."
    assert warned in overview(admin).context["warnings"]
    operator.set_password("another one")
    operator.save()
    admin.force_login(operator)
    assert not any("the first run" in sentence for sentence in overview(admin).context["warnings"])


def test_warns_of_no_first_password_of_whoever_was_switched_off(admin):
    joe = User.objects.create_user("joe", password="x", is_staff=True, is_active=False)
    OperatorPolicy.objects.create(user=joe, first_password=digest(joe.password))
    assert not any("the first run" in sentence for sentence in overview(admin).context["warnings"])


PURGE = "No performance tokens were purged for a week"


def expired(days):
    end = timezone.now() - timedelta(days=days)
    return PerformanceTokenFactory(created_at=end - timedelta(hours=1), expires_at=end)


def warned_of_purge(browser):
    return any(sentence.startswith(PURGE) for sentence in overview(browser).context["warnings"])


def test_warns_when_nobody_purged_for_a_week(admin):
    expired(38)
    assert warned_of_purge(admin)


@pytest.mark.parametrize("days", [[], [6], [36]], ids=["nothing", "a young registry", "nothing that is overdue"])
def test_warns_of_no_purge_where_there_is_nothing_to_purge(admin, days):
    for each in days:
        expired(each)
    assert not warned_of_purge(admin)


def test_warns_of_no_purge_after_one(admin, actor):
    expired(38), expired(50)
    podcast_services.purge(actor=actor, older_than=timedelta(days=45), batch=10)
    assert not warned_of_purge(admin)
    AuditEvent.objects.update(at=timezone.now() - timedelta(days=8))
    assert warned_of_purge(admin)


def test_warns_of_no_purge_after_one_that_found_nothing(admin, actor):
    expired(20)
    podcast_services.purge(actor=actor, older_than=timedelta(days=30), batch=10)
    assert not AuditEvent.objects.filter(action=podcast_services.Action.PURGE).exists()
    assert not warned_of_purge(admin)


def test_waits_with_the_warning_as_long_as_tokens_shall_be_kept(admin, settings):
    settings.PERFORMANCE_TOKEN_KEEP_DAYS = 60
    expired(50)
    assert not warned_of_purge(admin)


def test_makes_demo_data_of_every_kind_to_look_at(admin):
    call_command("make_demo_data", rows=40, verbosity=0)
    call_command("make_demo_data", rows=10, verbosity=0)
    assert NamedToken.objects.count() == 50
    assert AuditEvent.objects.filter(kind="named_token").count() == 50
    assert all(card["usable"] or card["numbers"][1][1] for card in overview(admin).context["cards"])

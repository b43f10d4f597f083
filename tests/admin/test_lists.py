"""Lists: found by how a text begins, by filters, by a whole secret; few queries; exports without secrets."""

import csv
import io
import json
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from tests.admin.conftest import member
from tests.contracts.specimens import SPECIMENS
from tests.factories import (
    ApiKeyFactory,
    GroupFactory,
    NamedTokenFactory,
    PerformanceTokenFactory,
    ProfileFactory,
    PublisherFactory,
    secret_of,
    value_of,
)
from tokens.core import audit, kinds
from tokens.core.admin import exports, listing
from tokens.core.audit import SYSTEM
from tokens.core.models import State
from tokens.services import Action

pytestmark = pytest.mark.django_db

LISTS = {
    "tokens_namedtoken": NamedTokenFactory,
    "podcast_perf_publisher": PublisherFactory,
    "podcast_perf_performancetoken": PerformanceTokenFactory,
    "edi_auth_apikey": lambda: ApiKeyFactory(group=GroupFactory()),
    "edi_auth_profile": ProfileFactory,
    "edi_auth_group": GroupFactory,
    "tokens_auditevent": lambda: audit.record(Action.MINT, NamedTokenFactory(), actor=SYSTEM),
}
READ = {
    "json": json.loads,
    "jsonl": lambda text: [json.loads(line) for line in text.splitlines()],
    "csv": lambda text: list(csv.DictReader(io.StringIO(text))),
}
every_list = pytest.mark.parametrize("name", LISTS)


def listed(browser, name, **query):
    return list(browser.get(reverse(f"admin:{name}_changelist"), query).context["cl"].result_list)


@every_list
def test_takes_few_queries_however_many_rows(admin, name):
    for _ in range(12):
        LISTS[name]()
    with CaptureQueriesContext(connection) as queries:
        assert admin.get(reverse(f"admin:{name}_changelist")).status_code == 200
    assert len(queries) < 10


@every_list
def test_counts_no_rows_for_the_lines_of_a_filter(admin, name):
    LISTS[name]()
    with CaptureQueriesContext(connection) as queries:
        page = admin.get(reverse(f"admin:{name}_changelist"), {"_facets": "True"}, follow=True).content.decode()
    assert "Show counts" not in page
    assert not [query for query in queries if "__facet" in query["sql"] or "FILTER (WHERE" in query["sql"]]


def test_pages_without_counting_everything(admin, monkeypatch):
    monkeypatch.setattr(listing, "MAX_LISTED", 60)
    for _ in range(70):
        NamedTokenFactory()
    page = admin.get(reverse("admin:tokens_namedtoken_changelist"), {"p": 2})
    assert len(page.context["cl"].result_list) == 10
    assert "60 or more named tokens" in page.content.decode()


def test_says_that_not_all_of_a_filter_is_sorted(admin, monkeypatch):
    monkeypatch.setattr(listing, "MAX_LISTED", 2)
    for _ in range(3):
        NamedTokenFactory()
    url, words = reverse("admin:tokens_namedtoken_changelist"), "of which the first 2 are sorted"
    assert words in admin.get(url, {"state": "active", "o": "1"}).content.decode()
    assert words not in admin.get(url, {"state": "active"}).content.decode()
    assert words not in admin.get(url, {"o": "1"}).content.decode()


@pytest.mark.parametrize(
    ("name", "make", "query"),
    [
        ("tokens_namedtoken", lambda: NamedTokenFactory(name="wanted_100%"), "wanted_1"),
        ("podcast_perf_publisher", lambda: PublisherFactory(name="Wanted"), "Wan"),
        ("podcast_perf_publisher", lambda: PublisherFactory(preview="Wxyz-"), "Wxyz-"),
        ("podcast_perf_performancetoken", lambda: PerformanceTokenFactory(serial="wanted-1"), "wanted"),
        ("edi_auth_apikey", lambda: ApiKeyFactory(preview="Wxyz-"), "Wxyz-"),
        ("edi_auth_apikey", lambda: ApiKeyFactory(owner=ProfileFactory(email="wanted@example.org")), "wanted@"),
        ("edi_auth_profile", lambda: ProfileFactory(common_name="Éva Wanted"), "Év"),
        ("edi_auth_profile", lambda: ProfileFactory(email="wanted@example.org"), "wanted@example.org"),
        ("edi_auth_group", lambda: GroupFactory(name="Wanted"), "Wanted"),
    ],
)
def test_finds_a_row_by_how_a_field_begins(admin, name, make, query):
    LISTS[name]()
    wanted = make()
    assert listed(admin, name, q=query) == [wanted]


@pytest.fixture
def few(monkeypatch):
    """Limits that a handful of rows exceeds."""
    for name, most in {"MAX_FOUND": 3, "FEW": 6, "RECENT": 8}.items():
        monkeypatch.setattr(listing, name, most)


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        ("ci ci ci ci ci", [4, 3, 2]),  # few enough to look at all
        ("ci ci ci ci ci ci ci ci ci x", [8, 7, 6]),  # more, of which the last rows hold enough
        ("ci ci ci ci ci ci ci x x x ci x x x x", [10]),  # more, of which they hold but one
    ],
)
def test_finds_the_newest_of_many_events_first(admin, few, labels, found):
    rows = [event(label) for label in labels.split()]
    shown = listed(admin, "tokens_auditevent", q="ci")
    assert len(shown) == listing.MAX_FOUND
    assert shown[: len(found)] == [rows[place] for place in found]


def test_finds_the_newest_keys_of_an_owner_first(admin, few):
    owner = ProfileFactory(email="wanted@example.org")
    rows = [ApiKeyFactory(owner=owner) for _ in range(5)]
    assert listed(admin, "edi_auth_apikey", q="wanted") == rows[:1:-1]


def event(label):
    """An event about a row of that name."""
    return audit.record(Action.MINT, NamedTokenFactory.build(pk=1, name=label), actor=SYSTEM)


@pytest.mark.parametrize("query", ["wanted%", "wante_", "anted", "WANTED"])
def test_takes_no_character_for_another(admin, query):
    NamedTokenFactory(name="wanted")
    assert listed(admin, "tokens_namedtoken", q=query) == []


def test_finds_a_profile_by_its_edi_id(admin):
    wanted, _ = ProfileFactory(), ProfileFactory()
    assert listed(admin, "edi_auth_profile", q=wanted.edi_id) == [wanted]


@pytest.mark.parametrize("name", ["tokens_namedtoken", "podcast_perf_publisher", "edi_auth_apikey"])
@pytest.mark.parametrize("state", [state for state in State if state != State.LOCKED])
def test_filters_by_state(admin, name, state):
    now, hour = timezone.now(), timedelta(hours=1)
    make = LISTS[name] if name != "edi_auth_apikey" else ApiKeyFactory
    rows = {
        State.ACTIVE: make(),
        State.REVOKED: make(revoked_at=now),
        State.INACTIVE: make(is_active=False),
        State.PENDING: make(starts_at=now + hour),
        State.EXPIRED: make(expires_at=now - hour),
    }
    assert listed(admin, name, state=state.value) == [rows[state]]


def test_filters_keys_of_a_locked_owner(admin):
    ApiKeyFactory()
    locked = ApiKeyFactory(owner=ProfileFactory(locked_at=timezone.now()))
    assert listed(admin, "edi_auth_apikey", state="locked") == [locked]


@pytest.mark.parametrize(("window", "days"), [("day", 0.5), ("week", 5), ("month", 20), ("past", -3), ("never", None)])
def test_filters_by_expiry(admin, window, days):
    now = timezone.now()
    NamedTokenFactory(expires_at=now + timedelta(days=99))
    row = NamedTokenFactory(expires_at=now + timedelta(days=days) if days else None)
    assert listed(admin, "tokens_namedtoken", expires=window) == [row]


def test_filters_by_owner_and_by_publisher(admin):
    key, token = ApiKeyFactory(), PerformanceTokenFactory(publisher=PublisherFactory())
    ApiKeyFactory(), PerformanceTokenFactory()
    assert listed(admin, "edi_auth_apikey", owner__id__exact=key.owner_id) == [key]
    assert listed(admin, "podcast_perf_performancetoken", publisher__id__exact=token.publisher_id) == [token]


def test_lists_what_was_filtered_and_sorted_in_that_order(admin):
    now = timezone.now()
    rows = [
        NamedTokenFactory(name=name, expires_at=now - timedelta(days=days))
        for name, days in (("b", 3), ("a", 2), ("c", 1))
    ]
    second, first, third = rows
    NamedTokenFactory(name="0")
    assert listed(admin, "tokens_namedtoken", state="expired") == [third, first, second]
    assert listed(admin, "tokens_namedtoken", state="expired", o="1") == [first, second, third]
    assert listed(admin, "tokens_namedtoken", state="expired", o="-1") == [third, second, first]


def test_lists_what_ends_never_before_what_ends_latest(admin):
    now = timezone.now()
    soon, late = (NamedTokenFactory(expires_at=now + timedelta(days=days)) for days in (1, 9))
    old, new = NamedTokenFactory(), NamedTokenFactory()
    active = listed(admin, "tokens_namedtoken", state="active")
    assert (set(active[:2]), active[2:]) == ({old, new}, [late, soon])


@pytest.mark.parametrize("few", [0, 9])
def test_filters_by_owner_and_by_state_at_once(admin, monkeypatch, few):
    monkeypatch.setattr(listing, "FEW", few)
    owner, hour = ProfileFactory(), timedelta(hours=1)
    keys = [ApiKeyFactory(owner=owner, expires_at=timezone.now() - hour) for _ in range(2)]
    ApiKeyFactory(owner=owner), ApiKeyFactory(expires_at=timezone.now() - hour)
    assert listed(admin, "edi_auth_apikey", state="expired", owner__id__exact=owner.pk) == keys[::-1]


def test_lists_each_locked_key_once(admin):
    now = timezone.now()
    owner, group = ProfileFactory(locked_at=now), GroupFactory(locked_at=now)
    ApiKeyFactory(group=GroupFactory())
    keys = [ApiKeyFactory(owner=owner), ApiKeyFactory(group=group), ApiKeyFactory(owner=owner, group=group)]
    assert listed(admin, "edi_auth_apikey", state="locked") == keys[::-1]


def test_lists_no_more_than_the_cap_of_what_lies_in_two_ranges(admin, monkeypatch):
    monkeypatch.setattr(listing, "MAX_LISTED", 5)
    for expires_at in (None, timezone.now() + timedelta(days=1)):
        for _ in range(3):
            NamedTokenFactory(expires_at=expires_at)
    assert len(listed(admin, "tokens_namedtoken", state="active")) == 5


def test_shows_each_row_of_a_filter_on_one_page(admin):
    made = {NamedTokenFactory(is_active=False).pk for _ in range(70)}
    pages = [listed(admin, "tokens_namedtoken", state="inactive", p=page) for page in (1, 2)]
    shown = [row.pk for page in pages for row in page]
    assert (len(shown), set(shown)) == (70, made)


def test_leads_from_a_page_that_is_not_there_to_the_list(admin):
    for _ in range(60):
        NamedTokenFactory()
    response = admin.get(reverse("admin:tokens_namedtoken_changelist"), {"p": 9})
    assert response["Location"].endswith("?e=1")


@pytest.mark.parametrize("query", [{}, {"state": "active"}])
def test_exports_more_rows_than_are_read_at_a_time(admin, monkeypatch, query):
    monkeypatch.setattr(exports, "EXPORTED", 2)
    made = [NamedTokenFactory().pk for _ in range(5)]
    rows = json.loads(
        b"".join(admin.get(reverse("admin:tokens_namedtoken_export", args=["json"]), query).streaming_content)
    )
    assert sorted(row["id"] for row in rows) == made


@pytest.mark.parametrize("name", SPECIMENS)
def test_finds_the_row_behind_a_whole_secret(admin, snapshot, name):
    if name not in {kind.name for kind in kinds.all_kinds()}:
        pytest.skip("Not installed here.")
    raw, row = SPECIMENS[name].make(State.ACTIVE, snapshot)
    row = row or kinds.find(raw)[1]
    response = admin.post(reverse("find_secret"), {"secret": f" {raw}\n"})
    expected = f"admin:{row._meta.app_label}_{row._meta.model_name}_change"
    assert response["Location"] == reverse(expected, args=[row.pk])
    assert raw not in admin.get(response["Location"]).content.decode()


def test_keeps_a_pasted_secret_out_of_url_page_session_and_log(admin, caplog):
    secret = secret_of(ApiKeyFactory())
    caplog.set_level("DEBUG")
    for pasted in (secret, secret + "x"):
        response = admin.post(reverse("find_secret"), {"secret": pasted}, follow=True)
        shown = response.content.decode() + str(response.redirect_chain) + str(dict(admin.session)) + caplog.text
        assert secret not in shown


def test_tells_what_it_did_not_find(admin):
    response = admin.post(reverse("find_secret"), {"secret": "nobody-had-this"}, follow=True)
    assert "No credential here matches that." in response.content.decode()


@pytest.mark.parametrize("name", ["SECRET_KEY", "TOKENS_SECRET_KEY", "PERFORMANCE_PUBLIC_KEY", "EDI_SERVICE_KEY"])
def test_names_the_setting_that_was_found(admin, settings, name):
    setattr(settings, name, getattr(settings, name) or "a-service-key-of-the-settings-of-this-server")
    response = admin.post(reverse("find_secret"), {"secret": getattr(settings, name)}, follow=True)
    assert f"That is {name} in the settings of this server." in response.content.decode()


def test_names_the_setting_of_an_old_secret(admin, settings):
    settings.TOKENS_SECRET_KEY_FALLBACKS = ("one", "an-old-secret-of-the-settings")
    response = admin.post(reverse("find_secret"), {"secret": "an-old-secret-of-the-settings"}, follow=True)
    assert "That is TOKENS_SECRET_KEY_FALLBACKS in the settings" in response.content.decode()


def test_looks_for_no_secret_in_a_url(admin):
    assert admin.get(reverse("find_secret"), {"secret": "x"}).status_code == 405


def test_finds_nothing_for_whoever_may_not_look():
    response = member().post(reverse("find_secret"), {"secret": value_of(NamedTokenFactory())})
    assert response["Location"] == reverse("admin:index")


@every_list
def test_exports_what_the_list_shows_and_no_secret(admin, secrets_and_rows, name):
    secrets, _ = secrets_and_rows
    LISTS[name]()
    for form in ("jsonl", "csv") if name == "tokens_auditevent" else ("json", "csv"):
        response = admin.get(reverse(f"admin:{name}_export", args=[form]))
        text = b"".join(response.streaming_content).decode()
        assert [secret for secret in secrets if secret in text] == []
        assert "attachment" in response["Content-Disposition"]
        assert len(READ[form](text)) == len(listed(admin, name))


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("tokens_namedtoken", NamedTokenFactory),
        ("edi_auth_apikey", ApiKeyFactory),
        ("podcast_perf_publisher", PublisherFactory),
    ],
)
def test_shows_whether_the_old_secret_is_still_used(admin, name, make):
    now = timezone.now()
    row = make(rotated_at=now, previous_fingerprint="0" * 64, previous_valid_until=now + timedelta(days=1))
    page = reverse(f"admin:{name}_change", args=[row.pk])
    assert "UTC; it was never used." in admin.get(page).content.decode()
    type(row).objects.update(previous_last_used_at=now)
    assert f"UTC; it was last used {now:%Y-%m-%d %H:%M} UTC." in admin.get(page).content.decode()
    (exported,) = json.loads(b"".join(admin.get(reverse(f"admin:{name}_export", args=["json"])).streaming_content))
    assert exported["previous_last_used_at"] == now.isoformat()
    type(row).objects.update(previous_valid_until=now)
    assert "The old secret works" not in admin.get(page).content.decode()


def test_exports_what_filters_leave(admin):
    NamedTokenFactory()
    off = NamedTokenFactory(is_active=False)
    url = reverse("admin:tokens_namedtoken_export", args=["json"])
    (row,) = json.loads(b"".join(admin.get(url, {"state": "inactive"}).streaming_content))
    assert (row["id"], row["name"], row["state"]) == (off.pk, off.name, "inactive")


@pytest.mark.parametrize("name", ["tokens_namedtoken", "podcast_perf_publisher", "edi_auth_apikey"])
def test_shows_how_often_and_when_something_was_used(admin, name):
    row = LISTS[name]()
    type(row).objects.filter(pk=row.pk).update(use_count=12345, last_used_at=timezone.now() - timedelta(hours=3))
    for page, arguments in (("changelist", []), ("change", [row.pk])):
        shown = admin.get(reverse(f"admin:{name}_{page}", args=arguments)).content.decode()
        assert "12,345" in shown
        assert "3 hours ago" in shown
    text = b"".join(admin.get(reverse(f"admin:{name}_export", args=["json"])).streaming_content)
    assert [exported["use_count"] for exported in json.loads(text)] == [12345]


def test_claims_no_uses_of_what_is_checked_elsewhere(admin):
    PerformanceTokenFactory()
    assert ">Uses<" not in admin.get(reverse("admin:podcast_perf_performancetoken_changelist")).content.decode()


def test_exports_all_that_a_search_finds(admin, few):
    rows = [event(label) for label in ["other", *["ci"] * 12]]
    url = reverse("admin:tokens_auditevent_export", args=["jsonl"])
    exported = [json.loads(line) for line in b"".join(admin.get(url, {"q": "ci"}).streaming_content).splitlines()]
    assert sorted(one["id"] for one in exported) == [row.pk for row in rows[1:]]


def test_exports_what_a_search_finds_by_either_way(admin, few):
    owner = ProfileFactory(email="wanted@example.org")
    rows = [*(ApiKeyFactory(owner=owner) for _ in range(4)), ApiKeyFactory(name="wanted")]
    ApiKeyFactory()
    ApiKeyFactory(owner=owner, is_active=False)
    url = reverse("admin:edi_auth_apikey_export", args=["json"])
    exported = json.loads(b"".join(admin.get(url, {"q": "wanted", "state": "active"}).streaming_content))
    assert sorted(one["id"] for one in exported) == [row.pk for row in rows]


def test_exports_nothing_for_what_no_database_looks_up(admin):
    NamedTokenFactory()
    text = b"".join(admin.get(reverse("admin:tokens_namedtoken_export", args=["json"]), {"q": "\0"}).streaming_content)
    assert json.loads(text) == []


def test_exports_a_selection(admin):
    first, _ = NamedTokenFactory(), NamedTokenFactory()
    data = {"action": "export_json", "_selected_action": [first.pk]}
    response = admin.post(reverse("admin:tokens_namedtoken_changelist"), data)
    assert [row["id"] for row in json.loads(b"".join(response.streaming_content))] == [first.pk]


@pytest.mark.parametrize("begin", [*"=+-@\uff1d\uff0b\uff0d\uff20\t\r\n"])
def test_exports_no_formula(admin, begin):
    NamedTokenFactory(name=f"{begin}1+1")
    text = b"".join(admin.get(reverse("admin:tokens_namedtoken_export", args=["csv"])).streaming_content).decode()
    assert f"'{begin}1+1" in text


def test_exports_in_no_other_format(admin):
    assert admin.get(reverse("admin:tokens_namedtoken_export", args=["xml"])).status_code == 404


def test_links_an_event_to_its_object_and_back(admin):
    token = NamedTokenFactory()
    event = audit.record(Action.MINT, token, actor=SYSTEM)
    url = reverse("admin:tokens_namedtoken_change", args=[token.pk])
    assert url in admin.get(reverse("admin:tokens_auditevent_changelist")).content.decode()
    assert reverse("admin:tokens_auditevent_change", args=[event.pk]) in admin.get(url).content.decode()


def test_lists_the_events_about_one_object_and_by_one_actor(admin, operator):
    token, other = NamedTokenFactory(), NamedTokenFactory()
    actor = audit.Actor(kind="operator", channel="admin", id=str(operator.pk), label="jane")
    about = audit.record(Action.MINT, token, actor=actor)
    audit.record(Action.MINT, other, actor=SYSTEM)
    assert listed(admin, "tokens_auditevent", about=f"named_token:{token.pk}") == [about]
    assert listed(admin, "tokens_auditevent", about=f"operator:{operator.pk}@actor") == [about]
    assert listed(admin, "tokens_auditevent", action="tokens:named_token:revoke") == []

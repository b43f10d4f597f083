"""Every verb: for one and for a selection, through the service, recorded, and for nobody without the role."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.contrib.messages import get_messages
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from tests.admin.conftest import member
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
from tokens import services
from tokens.core.admin.roles import make_groups
from tokens.core.models import State
from tokens.models import AuditEvent

pytestmark = pytest.mark.django_db

TOKEN, PUBLISHER, KEY = "tokens_namedtoken", "podcast_perf_publisher", "edi_auth_apikey"
PERFORMANCE, PROFILE, GROUP = "podcast_perf_performancetoken", "edi_auth_profile", "edi_auth_group"
MAKE = {
    TOKEN: NamedTokenFactory,
    PUBLISHER: PublisherFactory,
    KEY: ApiKeyFactory,
    PERFORMANCE: PerformanceTokenFactory,
    PROFILE: ProfileFactory,
    GROUP: GroupFactory,
}
ROTATABLE = (TOKEN, PUBLISHER, KEY)
VERBS = {
    **dict.fromkeys(ROTATABLE, ("rotate", "extend", "switch_off", "switch_on", "revoke")),
    PERFORMANCE: ("revoke",),
    PROFILE: ("lock", "unlock", "end_tokens"),
    GROUP: ("lock", "unlock", "end_tokens"),
}
EVERY = [(kind, verb) for kind, verbs in VERBS.items() for verb in verbs]
ANSWERS = {"reason": "found in a repository", "grace": "24", "days": "30", "expires_at_0": "", "expires_at_1": ""}
ROLES = {
    "issuers": {"rotate", "extend", "switch_off", "switch_on"},
    "security": {"revoke", "switch_off", "switch_on", "lock", "unlock", "end_tokens"},
    "viewers": set(),
}
every_verb = pytest.mark.parametrize(("kind", "verb"), EVERY)
every_rotatable = pytest.mark.parametrize("kind", ROTATABLE)


def subject(kind, verb):
    """A row for which there is something to do."""
    now = timezone.now()
    given = {
        "switch_on": {"is_active": False},
        "unlock": {"locked_at": now},
        "extend": {"expires_at": now + timedelta(days=1)},
    }.get(verb, {})
    return MAKE[kind](**given)


def ask(browser, kind, verb, *rows):
    return browser.get(reverse(f"admin:{kind}_verb", args=[verb]), {"id": [row.pk for row in rows]})


def do(browser, kind, verb, *rows, **answers):
    data = {"id": [row.pk for row in rows], **ANSWERS, **answers}
    return browser.post(reverse(f"admin:{kind}_verb", args=[verb]), data)


def select(browser, kind, action, *rows):
    data = {"action": action, "_selected_action": [row.pk for row in rows]}
    return browser.post(reverse(f"admin:{kind}_changelist"), data)


def stored(row):
    return type(row).objects.filter(pk=row.pk).values().get()


@every_verb
def test_asks_before_it_does_anything(admin, kind, verb):
    row = subject(kind, verb)
    before = stored(row)
    response = ask(admin, kind, verb, row)
    assert response.status_code == 200
    assert str(row) in response.context["title"]
    assert stored(row) == before
    assert not AuditEvent.objects.exists()


@every_verb
def test_does_it_to_one_and_records_it(admin, kind, verb):
    row, other = subject(kind, verb), subject(kind, verb)
    untouched = stored(other)
    response = do(admin, kind, verb, row)
    assert response.status_code == (200 if verb == "rotate" else 302)
    assert stored(other) == untouched
    event = AuditEvent.objects.get()
    assert (event.kind, event.object_id, event.actor_label, event.channel) == (row.kind, str(row.pk), "jane", "admin")
    assert event.after


@every_verb
def test_does_it_to_a_selection(admin, kind, verb):
    rows = [subject(kind, verb) for _ in range(3)]
    response = select(admin, kind, f"{verb}_selected", *rows[:2])
    assert {row.pk for row in response.context["rows"]} == {row.pk for row in rows[:2]}
    assert not AuditEvent.objects.exists()
    do(admin, kind, verb, *rows[:2])
    assert set(AuditEvent.objects.values_list("object_id", flat=True)) == {str(row.pk) for row in rows[:2]}


@every_verb
def test_is_offered_on_the_page_of_a_row(admin, kind, verb):
    row = subject(kind, verb)
    page = admin.get(reverse(f"admin:{kind}_change", args=[row.pk])).content.decode()
    assert reverse(f"admin:{kind}_verb", args=[verb]) + f"?id={row.pk}" in page


@pytest.mark.parametrize("role", ROLES)
@every_verb
def test_obeys_a_forged_request_of_none_but_its_roles(kind, verb, role):
    row = subject(kind, verb)
    before = stored(row)
    browser = member(role)
    response = do(browser, kind, verb, row)
    if verb in ROLES[role]:
        assert response.status_code in {200, 302}
        assert stored(row) != before
    else:
        assert response.status_code == 403
        assert ask(browser, kind, verb, row).status_code == 403
        select(browser, kind, f"{verb}_selected", row)
        assert stored(row) == before
        assert not AuditEvent.objects.exists()


@pytest.mark.parametrize("kind", list(VERBS))
@pytest.mark.parametrize("role", ROLES)
def test_mints_for_issuers_alone(kind, role):
    browser = member(role)
    status = browser.get(reverse(f"admin:{kind}_add")).status_code
    assert status == (200 if role == "issuers" else 403)
    assert browser.post(reverse(f"admin:{kind}_add"), {"name": "forged", "is_active": "on"}).status_code in (
        {200, 302} if role == "issuers" else {403}
    )


@pytest.mark.parametrize("kind", list(VERBS))
def test_changes_nothing_for_viewers(kind):
    row = MAKE[kind]()
    before = stored(row)
    response = member("viewers").post(reverse(f"admin:{kind}_change", args=[row.pk]), {"name": "forged"})
    assert response.status_code == 403
    assert stored(row) == before


@pytest.mark.parametrize(
    ("role", "verbs"),
    [
        ("viewers", {"view"}),
        ("issuers", {"view", "add", "change", "rotate", "extend", "switch"}),
        ("security", {"view", "revoke", "switch", "lock", "end_tokens"}),
    ],
)
def test_gives_a_role_what_is_documented_and_no_more(role, verbs):
    make_groups("tokens")  # as a later migration does, which finds the permissions of all apps
    given = Group.objects.get(name=role).permissions.values_list("codename", "content_type__app_label")
    assert {name.rpartition("_")[0] for name, _ in given} == verbs
    assert {app for _, app in given} == {"tokens", "podcast_perf", "edi_auth"}


@pytest.mark.parametrize("kind", list(VERBS))
@pytest.mark.parametrize("role", ROLES)
def test_lets_every_role_look(kind, role):
    row = MAKE[kind]()
    browser = member(role)
    assert browser.get(reverse(f"admin:{kind}_changelist")).status_code == 200
    assert browser.get(reverse(f"admin:{kind}_change", args=[row.pk])).status_code == 200


@pytest.mark.parametrize(("role", "status"), [("viewers", 403), ("issuers", 403), ("security", 200)])
def test_shows_the_audit_log_to_security_alone(role, status):
    browser = member(role)
    assert browser.get(reverse("admin:tokens_auditevent_changelist")).status_code == status
    assert browser.get(reverse("admin:tokens_auditevent_export", args=["jsonl"])).status_code == status
    row = NamedTokenFactory()
    page = browser.get(reverse("admin:tokens_namedtoken_change", args=[row.pk])).content.decode()
    assert ("What happened" in page) == (status == 200)


@pytest.mark.parametrize("role", ROLES)
def test_lets_superusers_alone_manage_operators(role):
    browser = member(role)
    assert browser.get(reverse("admin:tokens_operator_changelist")).status_code == 403
    body = {"username": "mallory", "password1": "correct horse battery", "password2": "correct horse battery"}
    assert browser.post(reverse("admin:tokens_operator_add"), body).status_code == 403
    assert not User.objects.filter(username="mallory").exists()


@every_rotatable
def test_shows_a_rotated_secret_once_and_it_works(admin, api, kind):
    row = MAKE[kind]()
    old = value_of(row) if kind == TOKEN else secret_of(row)
    response = do(admin, kind, "rotate", row)
    assert "no-store" in response["Cache-Control"]
    fresh = response.context["secret"]
    assert fresh != old
    assert fresh in response.content.decode()
    assert fresh not in admin.get(reverse(f"admin:{kind}_change", args=[row.pk])).content.decode()
    for secret in (fresh, old):
        assert use(api, kind, secret)


@every_rotatable
def test_ends_the_old_secret_at_once_where_there_is_no_grace(admin, api, kind):
    row = MAKE[kind]()
    old = value_of(row) if kind == TOKEN else secret_of(row)
    assert use(api, kind, do(admin, kind, "rotate", row, grace="0").context["secret"])
    assert not use(api, kind, old)


def use(api, kind, secret):
    return {
        TOKEN: lambda: api.call("GET", "/_/token", bearer=secret),
        PUBLISHER: lambda: api.call("GET", "/token", headers={"X-PUB-KEY": secret}),
        KEY: lambda: api.call("POST", "/auth/v1/key", {"key": secret}),
    }[kind]().status_code == 200


@every_rotatable
def test_shows_the_secret_of_each_that_was_rotated_together(admin, kind):
    rows = [MAKE[kind]() for _ in range(2)]
    shown = do(admin, kind, "rotate", *rows).context["shown"]
    assert {one["object"].pk for one in shown} == {row.pk for row in rows}
    assert len({one["secret"] for one in shown}) == 2


def test_shows_what_was_rotated_before_the_database_failed_and_goes_on(admin, monkeypatch):
    rows = [NamedTokenFactory(name=name) for name in ("one", "two", "three")]
    rotate = services.rotate

    def failing(row, **options):
        if row.name == "two":
            raise OperationalError("the disk is full")
        return rotate(row, **options)

    monkeypatch.setattr(services, "rotate", failing)
    response = do(admin, TOKEN, "rotate", *rows, grace="0")
    assert {one["object"].name for one in response.context["shown"]} == {"one", "three"}
    page = response.content.decode()
    assert "two: the database failed" in page
    assert "the disk is full" not in page


@pytest.mark.parametrize("kind", [KEY, PERFORMANCE])
def test_asks_about_many_with_as_few_queries_as_about_one(admin, kind):
    rows = [MAKE[kind]() for _ in range(6)]
    with CaptureQueriesContext(connection) as one:
        ask(admin, kind, "revoke", rows[0])
    with CaptureQueriesContext(connection) as many:
        ask(admin, kind, "revoke", *rows)
    assert len(many) == len(one)


@every_rotatable
def test_extends_nothing_that_ends_later_or_never(admin, kind):
    now = timezone.now()
    soon, later, never = (MAKE[kind](expires_at=end) for end in (now, now + timedelta(days=365), None))
    untouched = [stored(later), stored(never)]
    response = do(admin, kind, "extend", soon, later, never)
    assert [stored(later), stored(never)] == untouched
    assert "Extended 1. For 2 there was nothing to do." in told(response)
    soon.refresh_from_db()
    assert soon.expires_at > now + timedelta(days=29)


def test_counts_what_never_ends_before_it_extends(admin):
    rows = [NamedTokenFactory(expires_at=None), NamedTokenFactory(expires_at=timezone.now() + timedelta(days=3))]
    rows += [NamedTokenFactory(expires_at=timezone.now() + timedelta(days=365))]
    response = ask(admin, TOKEN, "extend", *rows)
    assert response.context["skipped"] == 1
    assert "1 of 2 ends more than 30 days from now" in " ".join(response.context["consequences"])
    assert "extend" not in [verb.name for verb in admin.get(change_page(rows[0])).context["offered"]]


def change_page(row):
    return reverse(f"admin:{TOKEN}_change", args=[row.pk])


def told(response):
    """What the operator is told of it."""
    return [str(message) for message in get_messages(response.wsgi_request)]


@every_rotatable
def test_extends_to_a_length_or_a_moment(admin, kind):
    row = MAKE[kind](expires_at=timezone.now() - timedelta(days=1), created_at=timezone.now() - timedelta(days=9))
    do(admin, kind, "extend", row, days="90")
    row.refresh_from_db()
    assert timedelta(days=89) < row.expires_at - timezone.now() <= timedelta(days=90)
    do(admin, kind, "extend", row, expires_at_0="2099-01-31", expires_at_1="12:00:00")
    row.refresh_from_db()
    assert row.expires_at.isoformat() == "2099-01-31T12:00:00+00:00"


def test_extends_into_no_past(admin):
    row = NamedTokenFactory()
    response = do(admin, TOKEN, "extend", row, expires_at_0="2020-01-31", expires_at_1="12:00:00")
    assert "That is in the past." in response.content.decode()
    assert not AuditEvent.objects.exists()


@pytest.mark.parametrize(("kind", "verb"), [(TOKEN, "revoke"), (PROFILE, "lock"), (PROFILE, "end_tokens")])
def test_asks_for_a_reason_and_keeps_it(admin, kind, verb):
    row = subject(kind, verb)
    assert do(admin, kind, verb, row, reason="").status_code == 200
    assert not AuditEvent.objects.exists()
    do(admin, kind, verb, row, reason="left the project")
    assert AuditEvent.objects.get().reason == "left the project"


def test_counts_what_will_stop_working(admin):
    rows = [NamedTokenFactory(last_used_at=timezone.now()), NamedTokenFactory(), NamedTokenFactory(is_active=False)]
    told = " ".join(ask(admin, TOKEN, "revoke", *rows).context["consequences"])
    assert "2 of 3 can be used now" in told
    assert "1 used within the last 24 hours" in told


@every_rotatable
def test_counts_the_older_secrets_that_a_rotation_ends(admin, api, kind):
    row, other = MAKE[kind](), MAKE[kind]()
    old = value_of(row) if kind == TOKEN else secret_of(row)
    assert ask(admin, kind, "rotate", row, other).context["consequences"] == []
    do(admin, kind, "rotate", row)
    (told,) = ask(admin, kind, "rotate", row, other).context["consequences"]
    assert told.startswith("1 of 2 was rotated before")
    assert use(api, kind, old)
    do(admin, kind, "rotate", row)
    assert not use(api, kind, old)


def test_counts_the_keys_that_a_lock_refuses(admin):
    owner = ProfileFactory()
    for _ in range(2):
        ApiKeyFactory(owner=owner)
    ApiKeyFactory(owner=owner, revoked_at=timezone.now())
    assert "2 API keys stop working at once." in ask(admin, PROFILE, "lock", owner).context["consequences"]
    one = ApiKeyFactory().owner
    assert "1 API key stops working at once." in ask(admin, PROFILE, "lock", one).context["consequences"]
    assert "1 API key goes on working." in ask(admin, PROFILE, "end_tokens", one).context["consequences"]


def test_tells_that_fetched_tokens_outlive_their_publisher(admin):
    publisher = PublisherFactory()
    PerformanceTokenFactory(publisher=publisher)
    told = ask(admin, PUBLISHER, "revoke", publisher).context["consequences"]
    assert "1 performance token it fetched goes on" in told[-1]


def test_leaves_alone_what_was_done_before(admin):
    row = NamedTokenFactory(revoked_at=timezone.now())
    before = stored(row)
    for verb in VERBS[TOKEN]:
        do(admin, TOKEN, verb, row)
    assert stored(row) == before
    assert row.state == State.REVOKED


@pytest.mark.parametrize("ids", [[], ["x"], ["9" * 30], ["-1"], ["99999"]])
def test_does_nothing_to_nothing(admin, ids):
    response = admin.post(reverse("admin:tokens_namedtoken_verb", args=["revoke"]), {"id": ids, "reason": "x"})
    assert response.status_code == 302


def test_knows_no_other_verb(admin):
    assert admin.get(reverse("admin:tokens_namedtoken_verb", args=["delete"])).status_code == 404


def test_takes_no_verb_without_a_csrf_token(operator):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(operator)
    row = NamedTokenFactory()
    assert do(browser, TOKEN, "revoke", row).status_code == 403
    assert stored(row)["revoked_at"] is None


def test_asks_about_no_more_than_somebody_can_have_looked_at(admin):
    rows = [NamedTokenFactory() for _ in range(51)]
    response = select(admin, TOKEN, "rotate_selected", *rows)
    assert response.status_code == 302

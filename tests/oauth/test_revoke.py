"""POST /revoke (RFC 7009)."""

from datetime import timedelta
from urllib.parse import urlencode

import pytest

from edi_auth import services
from edi_auth.models import Idp
from podcast_perf import services as podcast_services
from tests.contracts.specimens import SPECIMENS
from tests.edi_auth.forge import KEY, NOW, REFRESH, SECONDS, SYSTEM, UID, claims, edi, group_claims, pasta
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
from tokens import services as token_services
from tokens.core import throttling
from tokens.core.models import State
from tokens.models import AuditEvent, NamedToken

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

HOUR = timedelta(hours=1)
STATES = [(kind, state) for kind, specimen in SPECIMENS.items() for state in specimen.states]


@pytest.fixture
def revoke(api):
    """Present a credential; the answer must be the one there is."""

    def end(token, *, bearer=None, **parameters):
        response = api.call("POST", "/revoke", {"token": token, **parameters}, bearer=bearer)
        assert (response.status_code, response.json()) == (200, {})
        return response

    return end


@pytest.fixture
def person():
    """The profile that the tokens of `forge` are made for."""
    return ProfileFactory(idp_uid=UID)


def refresh(api, *, pasta_token=None, edi_token=None):
    return api.call("POST", REFRESH, {"pasta-token": pasta_token or pasta(), "edi-token": edi_token or edi()})


@pytest.mark.parametrize("text", ["\0", "\ud800", "x" * 9000], ids=lambda text: repr(text)[:8])
def test_ends_nothing_for_a_name_that_no_row_can_have(revoke, text):
    revoke(podcast_services.ring().sign({"s": text}))
    revoke(edi(claims(sub=text)))


@pytest.mark.parametrize(("kind", "state"), STATES, ids=[f"{kind}-{state}" for kind, state in STATES])
@pytest.mark.parametrize("hint", ["", "named_token", "no such kind"])
def test_answers_alike_whatever_the_credential_is(revoke, snapshot, kind, state, hint):
    raw, _ = SPECIMENS[kind].make(state, snapshot)
    revoke(raw, token_type_hint=hint)
    revoke(raw, token_type_hint=hint)


@pytest.mark.parametrize(("kind", "state"), STATES, ids=[f"{kind}-{state}" for kind, state in STATES])
@pytest.mark.parametrize("caller", ["", "reader", "bearer"])
def test_ends_what_is_usable_and_for_a_write_token_what_can_become_so(request, revoke, snapshot, kind, state, caller):
    raw, row = SPECIMENS[kind].make(state, snapshot)
    revoke(raw, bearer=request.getfixturevalue(caller) if caller else None)
    can_come_back = row is not None and state in {State.INACTIVE, State.LOCKED, State.PENDING}
    is_ended = state == State.ACTIVE or (caller == "bearer" and can_come_back)
    assert AuditEvent.objects.count() == is_ended
    if row is not None:
        row.refresh_from_db()
        assert row.state == (State.REVOKED if is_ended else state)


@pytest.mark.parametrize(
    "token",
    [" ", ".", "-", "a.b.c", "e30.e30.", "🦎", "\n", "x" * 60_000, "A" * 40 + "-AAAA"],
    ids=lambda raw: ascii(raw)[:20],
)
def test_answers_alike_where_there_is_nothing_to_end(revoke, token):
    revoke(token)
    assert not AuditEvent.objects.exists()


@pytest.mark.parametrize("is_form", [True, False])
def test_takes_a_form_or_json(api, is_form):
    token = NamedTokenFactory()
    parameters = {"token": value_of(token), "token_type_hint": "access_token"}
    response = api.call("POST", "/revoke", urlencode(parameters).encode() if is_form else parameters)
    assert response.status_code == 200
    token.refresh_from_db()
    assert token.state == State.REVOKED


@pytest.mark.parametrize(
    "body",
    [
        None,
        {},
        [],
        b"token=",
        b"token=a&token=b",
        b"token=a&token=",
        b"\xff",
        b'{"token"',
        {"token": 1},
        {"token": ""},
        {"token": "\0"},
    ],
    ids=ascii,
)
def test_refuses_a_request_that_makes_no_sense(api, bearer, body):
    for caller in (None, bearer):
        response = api.call("POST", "/revoke", body, bearer=caller)
        assert response.status_code == 400
        assert response.json()["error"] == "invalid_request"


def test_ends_a_named_token_at_every_door(api, revoke, reader):
    value = value_of(NamedTokenFactory())
    revoke(value)
    assert api.call("GET", "/_/token", bearer=value).status_code == 401
    assert api.call("POST", "/introspect", {"token": "x"}, bearer=value).status_code == 401
    assert api.call("POST", "/introspect", {"token": value}, bearer=reader).json() == {"active": False}


def test_ends_a_named_token_with_its_previous_value(api, revoke, actor):
    old = value_of(NamedTokenFactory(name="ci"))
    new = token_services.rotate("ci", actor=actor, grace=HOUR).secret
    revoke(new)
    assert [api.call("GET", "/_/token", bearer=value).status_code for value in (old, new)] == [401, 401]


def test_ends_an_api_key_at_every_door(api, revoke, introspect):
    secret = secret_of(ApiKeyFactory())
    revoke(secret)
    assert api.call("POST", KEY, {"key": secret}).status_code == 403
    assert introspect(secret) == {"active": False}


def test_ends_a_publishers_key_at_every_door(api, revoke, introspect):
    secret = secret_of(PublisherFactory())
    revoke(secret)
    assert api.call("GET", "/token", headers={"X-PUB-KEY": secret}).status_code == 400
    assert introspect(secret) == {"active": False}


def test_ends_a_performance_token(revoke, introspect):
    value = value_of(PerformanceTokenFactory())
    revoke(value)
    assert introspect(value) == {"active": False}


@pytest.mark.parametrize("found", [edi, pasta], ids=["edi", "pasta"])
def test_ends_all_tokens_of_the_profile(api, revoke, introspect, snapshot, clock, person, found):
    tokens = [edi(), edi(claims(jti="another")), pasta()]
    clock.shift(10)
    revoke(found())
    snapshot.renew()
    assert [introspect(token) for token in tokens] == [{"active": False}] * 3
    assert refresh(api).status_code == 403
    person.refresh_from_db()
    assert (person.locked_at, person.tokens_valid_after) == (None, NOW + timedelta(seconds=10))


def test_leaves_the_keys_of_the_profile_and_everybody_else_alone(api, revoke, snapshot, clock, person):
    key, other = ApiKeyFactory(owner=person), ProfileFactory(idp_uid="uid=other")
    clock.shift(10)
    revoke(edi())
    snapshot.renew()
    body = api.call("POST", KEY, {"key": secret_of(key)}).json()
    assert refresh(api, pasta_token=body["pasta-token"], edi_token=body["edi-token"]).status_code == 200
    other.refresh_from_db()
    assert other.tokens_valid_after is None


def test_ends_the_tokens_of_a_group(api, revoke, snapshot, clock):
    group = GroupFactory()
    token = edi(group_claims() | {"sub": group.edi_id})
    clock.shift(10)
    revoke(token)
    snapshot.renew()
    assert refresh(api, pasta_token=pasta(f"public*{SYSTEM}*{SECONDS * 1000}"), edi_token=token).status_code == 403


def test_finds_the_google_profile_of_a_pasta_token(revoke):
    profile = ProfileFactory(idp=Idp.GOOGLE, idp_uid="1234567890", email="jane@example.org")
    revoke(pasta(f"jane@example.org*{SYSTEM}*{(SECONDS + 60) * 1000}*authenticated"))
    profile.refresh_from_db()
    assert profile.tokens_valid_after == NOW


def test_ends_nothing_by_a_token_that_was_not_signed_here(revoke, person):
    for token in (f"{edi()[:-8]}AAAAAAAA", f"{pasta()[:-8]}AAAAAA==", value_of(NamedTokenFactory())[:-8] + "AAAAAAAA"):
        revoke(token)
    assert not AuditEvent.objects.exists()


@pytest.mark.parametrize("found", [edi, pasta], ids=["edi", "pasta"])
@pytest.mark.parametrize("hours", [8, 24, 24 * 365])
def test_ends_no_token_of_today_by_one_that_has_expired(revoke, clock, person, found, hours):
    dead = found()
    clock.shift(hours * 3600 + 1)
    revoke(dead)
    person.refresh_from_db()
    assert person.tokens_valid_after is None


@pytest.mark.parametrize("found", [edi, pasta], ids=["edi", "pasta"])
def test_ends_no_later_token_by_one_that_was_ended_before(revoke, clock, snapshot, person, found):
    leaked = found()
    clock.shift(10)
    revoke(leaked)
    snapshot.renew()
    clock.shift(3600)
    revoke(leaked)
    person.refresh_from_db()
    assert person.tokens_valid_after == NOW + timedelta(seconds=10)


def rotated_named(actor):
    row = NamedTokenFactory(name="ci")
    raw = value_of(row)
    token_services.rotate("ci", actor=actor, grace=HOUR)
    return row, raw


def rotated_key(actor):
    row = ApiKeyFactory()
    services.rotate_key(row, actor=actor, grace=HOUR)
    return row, secret_of(row)


def rotated_publisher(actor):
    row = PublisherFactory()
    podcast_services.rotate_publisher(row, actor=actor, grace=HOUR)
    return row, secret_of(row)


@pytest.mark.parametrize("make", [rotated_named, rotated_key, rotated_publisher])
def test_ends_a_credential_by_its_previous_secret_within_the_grace(revoke, clock, actor, make):
    row, old = make(actor)
    clock.shift(3599)
    revoke(old)
    row.refresh_from_db()
    assert row.state == State.REVOKED


@pytest.mark.parametrize("make", [rotated_named, rotated_key, rotated_publisher])
@pytest.mark.parametrize("is_writer", [False, True])
def test_ends_nothing_by_a_secret_whose_grace_is_over(revoke, bearer, clock, actor, make, is_writer):
    row, old = make(actor)
    clock.shift(3600)
    revoke(old, bearer=bearer if is_writer else None)
    row.refresh_from_db()
    assert row.state == State.ACTIVE


def test_names_the_bearer_as_the_one_who_did_it(revoke, bearer):
    token = NamedTokenFactory()
    response = revoke(value_of(token), bearer=bearer)
    event = AuditEvent.objects.get()
    assert (event.action, event.object_id) == ("tokens:named_token:revoke", str(token.pk))
    assert (event.actor_kind, event.actor_label, event.channel) == ("named_token", "bearer", "api")
    assert event.actor_id == str(NamedToken.objects.get(name="bearer").pk)
    assert (event.address, event.request_id) == ("127.0.0.1", response["X-Request-ID"])
    assert event.reason


def test_notes_the_use_of_the_bearer(revoke, bearer):
    revoke("x", bearer=bearer)
    assert NamedToken.objects.get(name="bearer").last_used_at == NOW


@pytest.mark.parametrize("is_reader", [True, False])
def test_names_the_finder_as_the_one_who_did_it(revoke, reader, is_reader):
    key = ApiKeyFactory()
    revoke(secret_of(key), bearer=reader if is_reader else None)
    event = AuditEvent.objects.get()
    assert (event.action, event.object_id) == ("edi_auth:api_key:revoke", str(key.pk))
    assert (event.actor_kind, event.actor_label) == ("public", "holder of the credential")
    assert event.address == "127.0.0.1"


@pytest.mark.parametrize(
    ("kind", "action"),
    [
        ("named_token", "tokens:named_token:revoke"),
        ("performance_token", "podcast_perf:performance_token:revoke"),
        ("publisher", "podcast_perf:publisher:revoke"),
        ("api_key", "edi_auth:api_key:revoke"),
        ("edi_token", "edi_auth:profile:end_tokens"),
        ("pasta_token", "edi_auth:profile:end_tokens"),
    ],
)
def test_records_what_it_ended_and_no_secret(revoke, bearer, snapshot, kind, action):
    raw, _ = SPECIMENS[kind].make(State.ACTIVE, snapshot)
    revoke(raw, bearer=bearer)
    event = AuditEvent.objects.get()
    assert event.action == action
    assert raw not in str(AuditEvent.objects.values().get())


def test_records_nothing_where_nothing_ends(revoke, snapshot):
    raw, _ = SPECIMENS["named_token"].make(State.REVOKED, snapshot)
    revoke(raw)
    assert not AuditEvent.objects.exists()


@pytest.fixture
def closed(settings):
    """Possession of a credential is not enough to end it."""
    settings.REVOKE_BY_POSSESSION = False


@pytest.mark.usefixtures("closed")
@pytest.mark.parametrize("kind", SPECIMENS)
def test_refuses_a_finder_where_the_operator_forbids_it(api, snapshot, introspect, kind):
    raw, _ = SPECIMENS[kind].make(State.ACTIVE, snapshot)
    response = api.call("POST", "/revoke", {"token": raw})
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Bearer"
    snapshot.renew()
    assert introspect(raw)["active"] is True


@pytest.mark.usefixtures("closed")
def test_refuses_a_read_token_where_the_operator_forbids_possession(api, reader):
    token = NamedTokenFactory()
    response = api.call("POST", "/revoke", {"token": value_of(token)}, bearer=reader)
    assert response.status_code == 403
    assert response.json()["error"] == "insufficient_scope"
    token.refresh_from_db()
    assert token.state == State.ACTIVE


@pytest.mark.usefixtures("closed")
def test_takes_a_write_token_where_the_operator_forbids_possession(revoke, bearer):
    token = NamedTokenFactory()
    revoke(value_of(token), bearer=bearer)
    token.refresh_from_db()
    assert token.state == State.REVOKED


@pytest.mark.parametrize("fields", [{"is_active": False}, {"expires_at": NOW}, {"revoked_at": NOW}], ids=str)
def test_refuses_a_bearer_that_is_not_usable(api, fields):
    asker, token = NamedTokenFactory(**fields), NamedTokenFactory()
    response = api.call("POST", "/revoke", {"token": value_of(token)}, bearer=value_of(asker))
    assert response.status_code == 401
    token.refresh_from_db()
    assert token.state == State.ACTIVE


@pytest.mark.parametrize(("limit", "expected"), [(3, [200, 200, 200, 429, 429]), (0, [200] * 5)])
def test_lets_one_address_try_so_often_a_minute(api, settings, limit, expected):
    settings.MAX_UNAUTHENTICATED = limit
    throttling.forget()
    responses = [api.call("POST", "/revoke", {"token": f"x{number}"}) for number in range(5)]
    throttling.forget()
    assert [response.status_code for response in responses] == expected
    if limit:
        assert responses[-1].json()["error"] == "slow_down"
        assert 0 < int(responses[-1]["Retry-After"]) <= 60


def test_does_not_count_the_calls_of_a_write_token(api, settings, bearer):
    settings.MAX_UNAUTHENTICATED = 1
    throttling.forget()
    statuses = {api.call("POST", "/revoke", {"token": "x"}, bearer=bearer).status_code for _ in range(5)}
    throttling.forget()
    assert statuses == {200}


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_answers_to_post_alone(api, method):
    assert api.call(method, "/revoke", {"token": "x"}).status_code == 405

"""POST /introspect (RFC 7662)."""

from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.db import OperationalError

from edi_auth import services
from edi_auth.models import edi_id_of
from podcast_perf import services as podcast_services
from tests.contracts.specimens import SPECIMENS
from tests.edi_auth.forge import HOURS_8, NOW, SECONDS, SYSTEM, UID, claims, edi, pasta, pasta_text
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
from tokens.core.models import State
from tokens.models import AuditEvent, NamedToken

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

DAY = timedelta(days=1)
LATER = SECONDS + 86_400
INACTIVE = {"active": False}
STATES = [(kind, state) for kind, specimen in SPECIMENS.items() for state in specimen.states if state != State.ACTIVE]


def test_tells_of_a_named_token_what_its_holder_may_do(introspect):
    token = NamedTokenFactory(name="ci")
    assert introspect(value_of(token)) == {
        "active": True,
        "kind": "named_token",
        "token_type": "Bearer",
        "sub": str(token.subject),
        "iss": "token",
        "iat": SECONDS,
        "scope": "read write",
        "client_id": "ci",
    }


def test_tells_a_read_token_from_a_write_token(introspect):
    assert introspect(value_of(NamedTokenFactory(can_write=False)))["scope"] == "read"


def test_tells_of_a_performance_token_what_it_claims(introspect):
    token = PerformanceTokenFactory()
    assert introspect(value_of(token)) == {
        "active": True,
        "kind": "performance_token",
        "token_type": "JWT",
        "sub": token.serial,
        "iat": SECONDS,
        "exp": SECONDS + 3600,
        "scope": "admin",
    }


def test_tells_a_listeners_token_from_an_admins(introspect):
    assert introspect(value_of(PerformanceTokenFactory(is_admin=False)))["scope"] == "listener"


def test_tells_of_an_api_key_whose_it_is(introspect):
    key = ApiKeyFactory(name="nightly", owner=ProfileFactory(common_name="Jane"), expires_at=NOW + DAY)
    assert introspect(secret_of(key)) == {
        "active": True,
        "kind": "api_key",
        "token_type": "API key",
        "sub": key.owner.edi_id,
        "client_id": "nightly",
        "username": "Jane",
        "iat": SECONDS,
        "exp": LATER,
    }


def test_tells_of_a_groups_key_the_group(introspect):
    group = GroupFactory(name="Curators")
    said = introspect(secret_of(ApiKeyFactory(group=group)))
    assert (said["sub"], said["username"]) == (group.edi_id, "Curators")


def test_tells_of_a_publisher_its_name(introspect):
    said = introspect(secret_of(PublisherFactory(name="Radio")))
    assert said["active"] is True
    assert (said["kind"], said["token_type"], said["sub"]) == ("publisher", "X-PUB-KEY", "Radio")
    assert said["scope"] == "mint"


@pytest.mark.parametrize("make", [NamedTokenFactory, PerformanceTokenFactory])
def test_knows_no_token_that_was_never_stored_or_not_signed_here(introspect, make):
    assert introspect(value_of(make.build())) == INACTIVE
    assert introspect(value_of(make())[:-8] + "AAAAAAAA") == INACTIVE


@pytest.mark.parametrize("serial", ["\0", "\ud800", "x" * 9000, "", 7, None], ids=lambda serial: repr(serial)[:8])
def test_knows_no_token_that_another_holder_of_the_secret_made_up(introspect, serial):
    assert introspect(podcast_services.ring().sign({"s": serial})) == INACTIVE


@pytest.mark.parametrize(
    ("make", "present"), [(NamedTokenFactory, value_of), (PublisherFactory, secret_of), (ApiKeyFactory, secret_of)]
)
def test_tells_when_what_expires_does(introspect, make, present):
    assert introspect(present(make(expires_at=NOW + timedelta(hours=1))))["exp"] == SECONDS + 3600
    assert "exp" not in introspect(present(make()))


def test_tells_of_an_edi_token_what_it_claims(introspect):
    assert introspect(edi()) == {
        "active": True,
        "kind": "edi_token",
        "token_type": "JWT",
        "sub": claims()["sub"],
        "iss": "https://auth.edirepository.org",
        "iat": SECONDS,
        "nbf": SECONDS,
        "exp": SECONDS + HOURS_8,
        "username": claims()["cn"],
    }


def test_describes_an_edi_token_that_does_not_say_when_it_begins(introspect):
    found = introspect(edi(claims(nbf=...)))
    assert found["active"] is True
    assert "nbf" not in found


@pytest.mark.parametrize(("milliseconds", "is_active"), [(-1, False), (0, False), (1, True)])
def test_draws_the_line_at_the_millisecond_that_a_pasta_token_names(introspect, milliseconds, is_active):
    assert introspect(pasta(pasta_text(ttl=SECONDS * 1000 + milliseconds)))["active"] is is_active


def test_finds_no_pasta_token_of_another_system_usable(introspect):
    text = pasta_text().replace(SYSTEM, "https://pasta.example.org/authentication")
    assert introspect(pasta(text)) == INACTIVE


def test_tells_of_a_pasta_token_what_it_says(introspect):
    assert introspect(pasta()) == {
        "active": True,
        "kind": "pasta_token",
        "token_type": "PASTA",
        "sub": UID,
        "iss": SYSTEM,
        "exp": SECONDS + HOURS_8,
        "scope": "vetted authenticated",
    }


@pytest.mark.parametrize(
    ("factory", "present"),
    [(NamedTokenFactory, value_of), (ApiKeyFactory, secret_of), (PublisherFactory, secret_of)],
)
def test_tells_when_a_stored_credential_expires(introspect, factory, present):
    assert introspect(present(factory(expires_at=NOW + DAY)))["exp"] == LATER


@pytest.mark.parametrize(
    ("factory", "present"),
    [(NamedTokenFactory, value_of), (ApiKeyFactory, secret_of), (PublisherFactory, secret_of)],
)
def test_names_no_expiry_of_what_does_not_expire(introspect, factory, present):
    said = introspect(present(factory()))
    assert said["active"] is True
    assert "exp" not in said


@pytest.mark.parametrize(("kind", "state"), STATES, ids=[f"{kind}-{state}" for kind, state in STATES])
def test_says_nothing_of_what_is_not_usable(introspect, snapshot, kind, state):
    raw, _ = SPECIMENS[kind].make(state, snapshot)
    assert introspect(raw) == INACTIVE
    assert introspect(raw, token_type_hint=kind) == INACTIVE


@pytest.mark.parametrize("kind", SPECIMENS)
def test_says_nothing_of_what_is_unknown(introspect, kind):
    assert introspect(SPECIMENS[kind].forged) == INACTIVE


@pytest.mark.parametrize(
    "token",
    [
        *(" ", ".", "-", "..", "a.b.c", "a-b", "e30.e30.", "null", "🦎", "ümlaut", "\u202e", "\n", "\x7f", "%00"),
        *("x" * 60_000, "." * 60_000, "é" * 30_000, "-" * 1000, "Bearer x"),
        "eyJhbGciOiJub25lIn0.eyJpc3MiOiJ0b2tlbiJ9.",
    ],
    ids=lambda token: ascii(token)[:20],
)
def test_says_nothing_of_what_is_malformed(introspect, token):
    assert introspect(token) == INACTIVE


def test_says_the_same_of_a_dead_one_in_every_byte(api, reader):
    dead, unknown = value_of(NamedTokenFactory(is_active=False)), "x.y.z"
    responses = [api.call("POST", "/introspect", {"token": token}, bearer=reader) for token in (dead, unknown)]
    assert responses[0].content == responses[1].content
    headers = [set(response.headers.items()) for response in responses]
    assert {name for name, _ in headers[0] ^ headers[1]} == {"X-Request-ID"}


@pytest.mark.parametrize("hint", [*SPECIMENS, "access_token", "refresh_token", "", "no such kind", "🦎"])
@pytest.mark.parametrize("kind", SPECIMENS)
def test_finds_a_credential_whatever_the_hint_says(introspect, snapshot, kind, hint):
    raw, _ = SPECIMENS[kind].make(State.ACTIVE, snapshot)
    assert introspect(raw, token_type_hint=hint)["kind"] == kind


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "application/json", "text/plain", ""])
@pytest.mark.parametrize("is_form", [True, False])
def test_takes_a_form_or_json_whatever_the_content_type(api, reader, content_type, is_form):
    parameters = {"token": value_of(NamedTokenFactory(name="ci")), "token_type_hint": "named_token"}
    body = urlencode(parameters).encode() if is_form else parameters
    response = api.call("POST", "/introspect", body, bearer=reader, content_type=content_type)
    assert response.json()["client_id"] == "ci"


def test_takes_a_pasta_token_from_a_form(api, reader):
    response = api.call("POST", "/introspect", urlencode({"token": pasta()}).encode(), bearer=reader)
    assert response.json()["kind"] == "pasta_token"


def test_passes_over_parameters_that_it_does_not_know(introspect):
    assert introspect(edi(), resource="https://example.org", client_id="x")["kind"] == "edi_token"


@pytest.mark.parametrize(
    "body",
    [
        None,
        b"",
        {},
        [],
        "x",
        b"token",
        b"token=",
        b"token=a&token=b",
        b"token=a&token=a",
        b"token=a&token_type_hint=x&token_type_hint=y",
        b"token_type_hint=named_token",
        b"\xff\xfe",
        b"token=a%00",
        b'{"token": "a"',
        {"token": ""},
        {"token": None},
        {"token": 1},
        {"token": ["a"]},
        {"token": {"a": "b"}},
        {"token": "a\0b"},
        {"token": "a", "token_type_hint": 1},
        {"token": "a", "token_type_hint": None},
        {"Token": "a"},
    ],
    ids=ascii,
)
def test_refuses_a_request_that_makes_no_sense(api, reader, body):
    response = api.call("POST", "/introspect", body, bearer=reader)
    assert response.status_code == 400
    assert response.json().keys() == {"error", "error_description"}
    assert response.json()["error"] == "invalid_request"


@pytest.mark.parametrize(
    "fields",
    [{"is_active": False}, {"expires_at": NOW}, {"revoked_at": NOW}, {"starts_at": NOW + DAY}],
    ids=["inactive", "expired", "revoked", "pending"],
)
def test_tells_nothing_to_whoever_has_no_usable_token(api, fields):
    asker = value_of(NamedTokenFactory(**fields))
    response = api.call("POST", "/introspect", {"token": asker}, bearer=asker)
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Bearer"
    assert response.json()["error"] == "invalid_token"


@pytest.mark.parametrize("kind", [kind for kind in SPECIMENS if kind != "named_token"])
def test_takes_no_other_kind_for_a_bearer(api, snapshot, kind):
    raw, _ = SPECIMENS[kind].make(State.ACTIVE, snapshot)
    assert api.call("POST", "/introspect", {"token": raw}, bearer=raw).status_code == 401


def test_tells_nothing_to_whoever_has_no_token_at_all(api, db):
    response = api.call("POST", "/introspect", {"token": value_of(NamedTokenFactory())})
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Bearer"


def test_asks_who_it_is_before_it_looks_at_the_body(api, db):
    assert api.call("POST", "/introspect", b"{").status_code == 401


def test_notes_the_use_of_the_asker_and_none_of_what_it_is_asked_about(introspect):
    token, key = NamedTokenFactory(name="ci"), ApiKeyFactory()
    introspect(value_of(token))
    introspect(secret_of(key))
    token.refresh_from_db()
    key.refresh_from_db()
    assert (token.last_used_at, key.last_used_at, key.use_count) == (None, None, 0)
    assert NamedToken.objects.get(name="reader").last_used_at == NOW


def test_changes_and_records_nothing(introspect):
    introspect(value_of(NamedTokenFactory()))
    assert not AuditEvent.objects.exists()


@pytest.mark.parametrize("is_known", [True, False])
def test_keeps_its_answer_out_of_caches(api, reader, is_known):
    token = value_of(NamedTokenFactory()) if is_known else "x"
    assert api.call("POST", "/introspect", {"token": token}, bearer=reader)["Cache-Control"] == "no-store"


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_answers_to_post_alone(api, reader, method):
    response = api.call(method, "/introspect", {"token": "x"}, bearer=reader)
    assert response.status_code == 405
    assert response.json().keys() == {"error", "error_description"}


@pytest.mark.parametrize("hours", [1, 24, 720])
def test_says_until_when_a_value_in_its_grace_is_good(introspect, actor, hours):
    token = NamedTokenFactory(name="ci")
    old = value_of(token)
    new = token_services.rotate("ci", actor=actor, grace=timedelta(hours=hours)).secret
    said = introspect(old)
    assert (said["active"], said["exp"], said["sub"]) == (True, SECONDS + hours * 3600, str(token.subject))
    assert introspect(new)["active"] is True
    assert "exp" not in introspect(new)


def test_says_of_a_value_in_its_grace_when_it_was_issued(introspect, actor, clock):
    token = NamedTokenFactory(name="ci")
    clock.shift(3600)
    new = token_services.rotate("ci", actor=actor).secret
    assert introspect(new)["iat"] == SECONDS + 3600
    assert introspect(value_of(token))["iat"] == SECONDS


def test_says_the_earlier_of_two_ends(introspect, actor):
    token = NamedTokenFactory(name="ci", expires_at=NOW + timedelta(hours=2))
    token_services.rotate("ci", actor=actor, grace=DAY)
    assert introspect(value_of(token))["exp"] == SECONDS + 7200


def test_says_nothing_of_a_value_whose_grace_is_over(introspect, actor, clock):
    token = NamedTokenFactory(name="ci")
    token_services.rotate("ci", actor=actor, grace=timedelta(hours=1))
    clock.shift(3599)
    assert introspect(value_of(token))["active"] is True
    clock.shift(1)
    assert introspect(value_of(token)) == INACTIVE


def test_says_until_when_a_key_in_its_grace_is_good(introspect, actor):
    key = ApiKeyFactory()
    services.rotate_key(key, actor=actor, grace=DAY)
    said = introspect(secret_of(key))
    assert (said["active"], said.get("exp")) == (True, LATER)


def test_says_until_when_a_publishers_key_in_its_grace_is_good(introspect, actor):
    publisher = PublisherFactory()
    podcast_services.rotate_publisher(publisher, actor=actor, grace=DAY)
    said = introspect(secret_of(publisher))
    assert (said["active"], said.get("exp")) == (True, LATER)


def test_knows_a_lock_as_soon_as_the_snapshot_does(introspect, snapshot, actor):
    profile = ProfileFactory(idp_uid=UID)
    assert profile.edi_id == edi_id_of(UID) == claims()["sub"]
    services.set_locked(profile, True, actor=actor)
    snapshot.renew()
    assert introspect(edi()) == introspect(pasta()) == INACTIVE


def test_does_not_guess_while_the_database_is_away(api, reader, monkeypatch):
    def fail(*args, **kwargs):
        raise OperationalError

    monkeypatch.setattr("django.db.backends.utils.CursorWrapper.execute", fail)
    response = api.call("POST", "/introspect", {"token": "x"}, bearer=reader)
    assert response.status_code == 503
    assert response.json()["error"] == "temporarily_unavailable"
    assert int(response["Retry-After"]) > 0

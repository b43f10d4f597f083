"""POST /_/token/rotate: a new value, and a grace for the old one."""

from datetime import timedelta

import pytest

from tests.edi_auth.forge import NOW, SECONDS
from tests.factories import NamedTokenFactory, value_of
from tests.tokens.tools import decode_jws, everything_stored
from tokens.models import AuditEvent

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

PATH = "/_/token/rotate"
HOUR = 3_600_000


@pytest.fixture
def rotate(api, bearer):
    """Rotate a token; the row and the new value."""

    def run(name="example", **body):
        response = api.call("POST", PATH, {"name": name, **body}, bearer=bearer)
        assert response.status_code == 200
        (row,) = response.json()["data"]
        return row

    return run


def opens(api, value):
    return api.call("GET", "/_/token", bearer=value).status_code == 200


def test_answers_with_the_row_its_new_value_and_the_end_of_the_old_one(rotate, bearer, settings):
    NamedTokenFactory(name="example", can_write=False, created_at=NOW - timedelta(days=1))
    row = rotate()
    assert (row["name"], row["write"], row["active"], row["state"]) == ("example", False, True, "active")
    assert row["previous_valid_until"] == (SECONDS + 86_400) * 1000
    header, claims = decode_jws(row["token"], secret=settings.TOKENS_SECRET_KEY)
    assert list(claims) == ["sub", "iat", "iss"]
    assert claims["iat"] == SECONDS
    assert header["kid"]


def test_keeps_the_answer_out_of_caches(api, bearer):
    NamedTokenFactory(name="example")
    assert api.call("POST", PATH, {"name": "example"}, bearer=bearer)["Cache-Control"] == "no-store"


@pytest.mark.parametrize("grace", [1, 1000, HOUR, 24 * HOUR, 30 * 24 * HOUR])
def test_lets_the_old_value_go_on_until_the_grace_ends(api, rotate, clock, grace):
    old = value_of(NamedTokenFactory(name="example"))
    new = rotate(grace=grace)["token"]
    assert new != old
    clock.move_to(NOW + timedelta(milliseconds=grace - 1), tick=False)
    assert (opens(api, old), opens(api, new)) == (True, True)
    clock.move_to(NOW + timedelta(milliseconds=grace), tick=False)
    assert (opens(api, old), opens(api, new)) == (False, True)


def test_ends_the_old_value_at_once_where_there_is_no_grace(api, rotate):
    old = value_of(NamedTokenFactory(name="example"))
    row = rotate(grace=0)
    assert row["previous_valid_until"] is None
    assert (opens(api, old), opens(api, row["token"])) == (False, True)


def test_lets_two_values_live_and_never_three(api, rotate):
    first = value_of(NamedTokenFactory(name="example"))
    second, third = rotate()["token"], rotate()["token"]
    assert [opens(api, value) for value in (first, second, third)] == [False, True, True]


def test_ends_both_old_values_by_a_rotation_without_grace(api, rotate):
    first = value_of(NamedTokenFactory(name="example"))
    second, third = rotate()["token"], rotate(grace=0)["token"]
    assert [opens(api, value) for value in (first, second, third)] == [False, False, True]


@pytest.mark.parametrize("change", [{"active": False}, {"expiration_date": SECONDS * 1000 - 5000}])
def test_limits_the_old_value_with_the_token(api, bearer, rotate, change):
    old = value_of(NamedTokenFactory(name="example"))
    new = rotate()["token"]
    assert api.call("PUT", "/_/token", {"name": "example", **change}, bearer=bearer).status_code == 200
    assert (opens(api, old), opens(api, new)) == (False, False)


def test_gives_the_old_value_no_more_than_the_token_may(api, bearer, rotate):
    old = value_of(NamedTokenFactory(name="example"))
    rotate()
    api.call("PUT", "/_/token", {"name": "example", "write": False}, bearer=bearer)
    assert api.call("POST", "/_/token", {"name": "x"}, bearer=old).status_code == 403


def test_ends_both_values_with_the_token(api, bearer, rotate):
    old = value_of(NamedTokenFactory(name="example"))
    new = rotate()["token"]
    api.call("DELETE", "/_/token", {"name": "example"}, bearer=bearer)
    assert (opens(api, old), opens(api, new)) == (False, False)


def test_reads_back_the_new_value(api, bearer, rotate):
    NamedTokenFactory(name="example")
    new = rotate()["token"]
    response = api.call("GET", "/_/token/value?name=example", bearer=bearer)
    assert response.json()["data"] == [{"token": new}]


def test_shows_when_each_value_was_last_used(api, rotate, clock):
    token = NamedTokenFactory(name="example")
    old = value_of(token)
    opens(api, old)
    clock.shift(3600)
    new = rotate()["token"]
    token.refresh_from_db()
    assert (token.last_used_at, token.previous_last_used_at) == (None, NOW)
    clock.shift(600)
    opens(api, old)
    token.refresh_from_db()
    assert (token.last_used_at, token.previous_last_used_at) == (None, NOW + timedelta(seconds=4200))
    clock.shift(600)
    opens(api, new)
    token.refresh_from_db()
    assert token.last_used_at == NOW + timedelta(seconds=4800)
    assert token.previous_last_used_at == NOW + timedelta(seconds=4200)


def test_tells_a_script_whether_the_old_value_is_still_used(api, bearer, rotate, clock):
    old = value_of(NamedTokenFactory(name="example"))
    first = rotate()
    assert (first["rotated_at"], first["previous_last_used_at"]) == (SECONDS * 1000, None)
    clock.shift(600)
    opens(api, old)
    response = api.call("GET", f"{PATH}?name=example", bearer=bearer)
    assert (response.status_code, response["Cache-Control"]) == (200, "no-store")
    (row,) = response.json()["data"]
    assert row["previous_last_used_at"] == (SECONDS + 600) * 1000 > row["rotated_at"] == SECONDS * 1000
    assert row["previous_valid_until"] == first["previous_valid_until"]
    assert row.keys() == first.keys() - {"token"}
    assert not AuditEvent.objects.exclude(action="tokens:named_token:rotate").exists()


def test_tells_of_a_token_that_was_never_rotated(api, bearer):
    (row,) = api.call("GET", f"{PATH}?name=bearer", bearer=bearer).json()["data"]
    assert [row[name] for name in ("rotated_at", "previous_valid_until", "previous_last_used_at")] == [None] * 3


@pytest.mark.parametrize(("query", "status"), [("", 400), ("?name=", 400), ("?name=nobody", 404), ("?name=a%00", 400)])
def test_tells_nothing_without_a_name_that_there_is(api, bearer, query, status):
    assert api.call("GET", PATH + query, bearer=bearer).status_code == status


def test_tells_a_read_token_nothing_of_it(api):
    reader = value_of(NamedTokenFactory(name="example", can_write=False))
    assert api.call("GET", f"{PATH}?name=example", bearer=reader).status_code == 403


def test_keeps_everything_else_as_it_was(api, bearer, rotate):
    NamedTokenFactory(name="example", expires_at=NOW + timedelta(days=9), allowed_networks=["127.0.0.0/8"])
    (before,) = [row for row in api.call("GET", "/_/token", bearer=bearer).json()["data"] if row["name"] == "example"]
    after = {name: value for name, value in rotate().items() if name in before}
    assert after | {"updated_at": 0, "last_used_at": 0} == before | {"updated_at": 0, "last_used_at": 0}


@pytest.mark.parametrize("fields", [{"is_active": False}, {"expires_at": NOW}], ids=["inactive", "expired"])
def test_makes_nothing_usable_that_was_not(api, rotate, fields):
    NamedTokenFactory(name="example", **fields)
    assert not opens(api, rotate()["token"])


def test_may_rotate_its_own_bearer(api, bearer):
    response = api.call("POST", PATH, {"name": "bearer", "grace": 0}, bearer=bearer)
    assert response.status_code == 200
    assert not opens(api, bearer)
    assert opens(api, response.json()["data"][0]["token"])


def test_records_who_did_it_and_no_secret(rotate):
    token = NamedTokenFactory(name="example")
    value, old = rotate()["token"], str(token.subject)
    event = AuditEvent.objects.get()
    assert (event.action, event.object_id) == ("tokens:named_token:rotate", str(token.pk))
    assert (event.actor_kind, event.actor_label, event.channel) == ("named_token", "bearer", "api")
    assert set(event.after) == {"rotated_at", "previous_valid_until"}
    assert old not in str(AuditEvent.objects.values().get())
    assert value not in everything_stored()


def test_refuses_a_read_token(api, db):
    reader = value_of(NamedTokenFactory(can_write=False))
    token = NamedTokenFactory(name="example")
    assert api.call("POST", PATH, {"name": "example"}, bearer=reader).status_code == 403
    assert opens(api, value_of(token))


def test_refuses_whoever_has_no_token(api, db):
    response = api.call("POST", PATH, {"name": "example"})
    assert (response.status_code, response["WWW-Authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize("fields", [None, {"revoked_at": NOW}], ids=["unknown", "revoked"])
def test_refuses_a_name_that_nobody_has(api, bearer, fields):
    if fields:
        NamedTokenFactory(name="example", **fields)
    response = api.call("POST", PATH, {"name": "example"}, bearer=bearer)
    assert (response.status_code, response.json()) == (404, {"error": "There is no token named 'example'."})


@pytest.mark.parametrize(
    "body",
    [
        None,
        {},
        [],
        {"name": ""},
        {"name": 1},
        {"grace": 0},
        *(
            {"name": "example", "grace": grace}
            for grace in (-1, 30 * 24 * HOUR + 1, 1.5, "1", None, True, [], 2**63 - 1)
        ),
        {"name": "example", "Grace": 1},
        {"name": "example", "active": False},
    ],
    ids=repr,
)
def test_refuses_a_request_that_makes_no_sense(api, bearer, body):
    token = NamedTokenFactory(name="example")
    response = api.call("POST", PATH, body, bearer=bearer)
    assert response.status_code == 400
    assert response.json().keys() == {"error"}
    token.refresh_from_db()
    assert token.rotated_at is None


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_answers_to_post_and_get_alone(api, bearer, method):
    assert api.call(method, PATH, {"name": "bearer"}, bearer=bearer).status_code == 405


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
def test_rotates_nothing_for_a_question(api, bearer, method):
    api.call(method, f"{PATH}?name=bearer", bearer=bearer)
    assert opens(api, bearer)
    assert not AuditEvent.objects.exists()

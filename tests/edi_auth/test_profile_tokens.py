"""POST, PUT and DELETE /auth/v1/token/<EDI-ID>: what the EDI client library calls besides."""

from datetime import timedelta

import pytest

from edi_auth.models import Profile
from tests.edi_auth.forge import (
    DOMAIN,
    HOURS_8,
    KEY,
    NOW,
    REFRESH,
    SECONDS,
    UID,
    claims,
    edi,
    edi_id,
    group_claims,
    other_edi_key,
    read_edi,
    read_pasta,
)
from tests.factories import ApiKeyFactory, GroupFactory, ProfileFactory, secret_of
from tokens.models import AuditEvent

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

SERVICE_KEY = "a-service-key-of-the-settings"
METHODS = {"POST": "createToken", "PUT": "revokeToken", "DELETE": "lockProfile"}
MESSAGES = {"PUT": "Tokens revoked successfully", "DELETE": "Profile locked successfully"}
ADMINISTRATOR = "uid=admin,o=EDI,dc=edirepository,dc=org"
by_administrator = pytest.mark.parametrize("method", ["PUT", "DELETE"])


@pytest.fixture(autouse=True)
def service_key(settings):
    settings.EDI_SERVICE_KEY = SERVICE_KEY


@pytest.fixture
def profile():
    """The profile that is called about."""
    return ProfileFactory(idp_uid=UID, common_name="Jane", email="jane@example.org")


@pytest.fixture
def administrator():
    """The profile that may do it."""
    return ProfileFactory(idp_uid=ADMINISTRATOR, common_name="Ada", is_administrator=True)


def token_of(uid=ADMINISTRATOR, **changes):
    """A genuine EDI token of an identity."""
    return edi(claims(sub=edi_id(uid), idpUid=uid, **changes))


def create(api, edi_id_, key=SERVICE_KEY, **options):
    return api.call("POST", f"/auth/v1/token/{edi_id_}", {"key": key}, **options)


def ask(api, method, edi_id_, token=None, **headers):
    headers |= {"Cookie": f"edi-token={token}"} if token else {}
    return api.call(method, f"/auth/v1/token/{edi_id_}", headers=headers)


def is_refused(response, status, method):
    body = response.json()
    return (response.status_code, body.keys(), body["method"]) == (status, {"msg", "method"}, METHODS[method])


def test_makes_both_tokens_for_a_service(api, profile):
    response = create(api, profile.edi_id)
    assert response.status_code == 200
    body = response.json()
    assert list(body) == ["msg", "pasta-token", "edi-token", "method"]
    assert (body["msg"], body["method"]) == ("Token created successfully", "createToken")
    read = read_edi(body["edi-token"])
    assert (read["sub"], read["cn"], read["exp"]) == (profile.edi_id, "Jane", SECONDS + HOURS_8)
    assert read_pasta(body["pasta-token"])[0] == UID


def test_records_no_tokens_that_could_not_be_signed(api, profile, settings, tmp_path):
    settings.PASTA_PRIVATE_KEY_PATH = tmp_path / "missing.pem"
    assert create(api, profile.edi_id).status_code == 500
    assert not AuditEvent.objects.exists()


def test_makes_the_tokens_that_a_key_of_the_profile_makes(api, profile):
    GroupFactory().members.add(profile)
    by_key = api.call("POST", KEY, {"key": secret_of(ApiKeyFactory(owner=profile))}).json()
    by_service = create(api, profile.edi_id).json()
    assert read_edi(by_service["edi-token"]) == read_edi(by_key["edi-token"])
    assert read_pasta(by_service["pasta-token"]) == read_pasta(by_key["pasta-token"])


def test_makes_tokens_that_can_be_renewed(api, profile, snapshot):
    body = create(api, profile.edi_id).json()
    snapshot.renew()
    tokens = {name: body[name] for name in ("pasta-token", "edi-token")}
    assert api.call("POST", REFRESH, tokens).status_code == 200


def test_keeps_the_answer_out_of_caches(api, profile):
    assert create(api, profile.edi_id)["Cache-Control"] == "no-store"


def test_answers_in_xml_where_accept_asks_for_it(api, profile, parse_xml):
    body = parse_xml(create(api, profile.edi_id, headers={"Accept": "text/xml"}))
    assert read_edi(body["edi-token"])["sub"] == profile.edi_id


def test_records_for_whom_a_service_made_tokens(api, profile):
    response = create(api, profile.edi_id)
    event = AuditEvent.objects.get()
    assert (event.action, event.object_id) == ("edi_auth:profile:create_tokens", str(profile.pk))
    assert (event.actor_kind, event.actor_label) == ("service", "EDI_SERVICE_KEY")
    assert response.json()["edi-token"] not in str(AuditEvent.objects.values().get())
    assert SERVICE_KEY not in str(AuditEvent.objects.values().get())


@pytest.mark.parametrize("key", ["x", SERVICE_KEY.upper(), SERVICE_KEY + " ", SERVICE_KEY[:-1], "🦎"])
@pytest.mark.parametrize("is_known", [True, False])
def test_refuses_another_service_key_before_it_looks_for_the_profile(api, profile, key, is_known):
    response = create(api, profile.edi_id if is_known else edi_id("nobody"), key)
    assert is_refused(response, 401, "POST")
    assert not AuditEvent.objects.exists()


@pytest.mark.parametrize("key", ["x", SERVICE_KEY, " "])
def test_is_not_there_while_there_is_no_service_key(api, profile, settings, key):
    settings.EDI_SERVICE_KEY = ""
    assert is_refused(create(api, profile.edi_id, key), 404, "POST")


@pytest.mark.parametrize("body", [None, {}, [], {"key": ""}, {"key": 1}, {"key": None}, b"{", {"key": "a\0"}], ids=repr)
def test_refuses_a_body_that_makes_no_sense(api, profile, body):
    response = api.call("POST", f"/auth/v1/token/{profile.edi_id}", body)
    assert is_refused(response, 400, "POST")


def test_makes_nothing_for_a_locked_profile(api, profile, settings):
    Profile.objects.update(locked_at=NOW)
    assert is_refused(create(api, profile.edi_id), 403, "POST")
    assert not AuditEvent.objects.exists()


UNKNOWN = [edi_id("nobody"), "EDI-", "x", "%00", "🦎", "EDI-" + "0" * 5000, "..", "EDI-%0d%0aX:y"]


@pytest.mark.parametrize("unknown", UNKNOWN, ids=lambda value: ascii(value)[:20])
@pytest.mark.parametrize("method", METHODS)
def test_knows_no_other_profile(api, administrator, unknown, method):
    response = create(api, unknown) if method == "POST" else ask(api, method, unknown, token_of())
    assert is_refused(response, 404, method)
    assert not AuditEvent.objects.exists()


@pytest.mark.parametrize("method", METHODS)
def test_takes_no_group_for_a_profile(api, administrator, method):
    group = GroupFactory()
    response = create(api, group.edi_id) if method == "POST" else ask(api, method, group.edi_id, token_of())
    assert is_refused(response, 404, method)


@by_administrator
def test_says_that_it_is_done(api, profile, administrator, method):
    response = ask(api, method, profile.edi_id, token_of())
    assert (response.status_code, response.json()) == (200, {"msg": MESSAGES[method], "method": METHODS[method]})
    assert response["Cache-Control"] == "no-store"


def test_ends_all_tokens_of_a_profile_and_no_later_one(api, profile, administrator, snapshot, clock):
    old = create(api, profile.edi_id).json()
    clock.shift(10)
    assert ask(api, "PUT", profile.edi_id, token_of()).status_code == 200
    snapshot.renew()
    new = create(api, profile.edi_id).json()
    for body, status in ((old, 403), (new, 200)):
        tokens = {name: body[name] for name in ("pasta-token", "edi-token")}
        assert api.call("POST", REFRESH, tokens).status_code == status
    profile.refresh_from_db()
    assert (profile.locked_at, profile.tokens_valid_after) == (None, NOW + timedelta(seconds=10))


def test_locks_a_profile_out_of_every_door(api, profile, administrator, snapshot):
    key, tokens = ApiKeyFactory(owner=profile), create(api, profile.edi_id).json()
    assert ask(api, "DELETE", profile.edi_id, token_of()).status_code == 200
    snapshot.renew()
    assert api.call("POST", KEY, {"key": secret_of(key)}).status_code == 403
    assert create(api, profile.edi_id).status_code == 403
    body = {name: tokens[name] for name in ("pasta-token", "edi-token")}
    assert api.call("POST", REFRESH, body).status_code == 403


def test_changes_nothing_when_it_locks_again(api, profile, administrator, clock):
    ask(api, "DELETE", profile.edi_id, token_of())
    clock.shift(60)
    assert ask(api, "DELETE", profile.edi_id, token_of()).status_code == 200
    profile.refresh_from_db()
    assert profile.locked_at == NOW
    assert AuditEvent.objects.count() == 1


@pytest.mark.parametrize(("method", "action"), [("PUT", "end_tokens"), ("DELETE", "lock")])
def test_records_which_administrator_did_it(api, profile, administrator, method, action):
    ask(api, method, profile.edi_id, token_of())
    event = AuditEvent.objects.get()
    assert (event.action, event.object_id) == (f"edi_auth:profile:{action}", str(profile.pk))
    assert (event.actor_kind, event.actor_id, event.actor_label) == ("profile", str(administrator.pk), "Ada")
    assert event.address == "127.0.0.1"


@by_administrator
def test_takes_an_administrator_whom_the_settings_name(api, profile, settings, method):
    named = ProfileFactory(idp_uid=ADMINISTRATOR)
    assert ask(api, method, profile.edi_id, token_of()).status_code == 403
    settings.EDI_ADMIN_IDS = [named.edi_id]
    assert ask(api, method, profile.edi_id, token_of()).status_code == 200


@by_administrator
@pytest.mark.parametrize("uid", [UID, "uid=nobody"])
def test_forbids_it_to_whoever_is_no_administrator(api, profile, administrator, method, uid):
    assert is_refused(ask(api, method, profile.edi_id, token_of(uid)), 403, method)
    assert not AuditEvent.objects.exists()


@by_administrator
@pytest.mark.parametrize("claimed", [{"isAdministrator": True}, {"is_administrator": True}, {"principals": ["admin"]}])
def test_believes_no_claim_to_be_an_administrator(api, profile, administrator, method, claimed):
    assert is_refused(ask(api, method, profile.edi_id, token_of(UID, **claimed)), 403, method)


@by_administrator
@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"locked_at": NOW}, 403),
        ({"tokens_valid_after": NOW + timedelta(seconds=1)}, 403),
        ({"tokens_valid_after": NOW}, 200),
        ({"is_administrator": False}, 403),
    ],
    ids=["locked", "ended", "just not ended", "no longer one"],
)
def test_asks_the_database_and_not_the_snapshot_of_the_administrator(
    api, profile, administrator, method, fields, status
):
    Profile.objects.filter(pk=administrator.pk).update(**fields)
    assert ask(api, method, profile.edi_id, token_of()).status_code == status


@by_administrator
@pytest.mark.parametrize(
    "token",
    [
        None,
        "x",
        "x.y.z",
        token_of(exp=SECONDS),
        token_of(nbf=SECONDS + 1),
        token_of(iss="https://attacker.example"),
        token_of(hd=f"x{DOMAIN}"),
        edi(claims(sub=edi_id(ADMINISTRATOR)), key=other_edi_key()),
        edi(claims(sub=None)),
        edi(group_claims()) + "A",
    ],
    ids=["none", "x", "x.y.z", "expired", "not yet", "issuer", "domain", "another key", "no subject", "longer"],
)
def test_refuses_a_cookie_that_is_no_token_of_today(api, profile, administrator, method, token):
    assert is_refused(ask(api, method, profile.edi_id, token), 401, method)
    assert not AuditEvent.objects.exists()


@by_administrator
def test_takes_the_token_from_no_place_that_logs_keep(api, profile, administrator, method):
    response = api.call(method, f"/auth/v1/token/{profile.edi_id}?edi-token={token_of()}")
    assert is_refused(response, 401, method)


@by_administrator
def test_takes_the_service_key_for_no_administrator(api, profile, method):
    response = api.call(method, f"/auth/v1/token/{profile.edi_id}", {"key": SERVICE_KEY})
    assert is_refused(response, 401, method)


def test_takes_an_administrator_for_no_service(api, profile, administrator):
    response = create(api, profile.edi_id, "x", headers={"Cookie": f"edi-token={token_of()}"})
    assert is_refused(response, 401, "POST")


def test_may_end_its_own_tokens(api, administrator, clock):
    clock.shift(1)
    assert ask(api, "PUT", administrator.edi_id, token_of()).status_code == 200
    assert ask(api, "PUT", administrator.edi_id, token_of()).status_code == 403


@pytest.mark.parametrize("method", ["GET", "PATCH"])
def test_answers_to_no_other_method(api, profile, method):
    response = api.call(method, f"/auth/v1/token/{profile.edi_id}")
    assert response.status_code == 405
    assert response.json() == {"msg": f'Method "{method}" not allowed.', "method": "unknown"}


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
def test_does_nothing_for_a_question(api, profile, administrator, method):
    ask(api, method, profile.edi_id, token_of())
    assert not AuditEvent.objects.exists()


def test_leaves_the_route_of_refreshes_alone(api, administrator):
    for method in ("PUT", "DELETE"):
        assert ask(api, method, "refresh", token_of()).status_code == 405

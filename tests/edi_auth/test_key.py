"""POST /auth/v1/key (the document "Token and API key API", "getTokenByKey")."""

from datetime import UTC, datetime, timedelta

import jwt
import orjson
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from edi_auth import services
from edi_auth.models import ApiKey
from tests.edi_auth.forge import (
    DOMAIN,
    HOURS_8,
    ISSUER,
    KEY,
    NOW,
    REFRESH,
    SECONDS,
    SYSTEM,
    edi_id,
    read_edi,
    read_pasta,
)
from tests.factories import ApiKeyFactory, GroupFactory, ProfileFactory, secret_of
from tokens.core.errors import NotFound

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

PUBLIC, AUTHENTICATED, VETTED = edi_id("public"), edi_id("authenticated"), edi_id("vetted")
TTL = str((SECONDS + HOURS_8) * 1000)
MOMENT = timedelta(microseconds=1)
INVALID = {"msg": "Invalid API key", "method": "getTokenByKey"}
OTHERS = {
    "orcid": {"idp": "orcid", "idp_uid": "https://orcid.org/0000-0002-1825-0097"},
    "github": {"idp": "github", "idp_uid": "https://github.com/jane"},
    "microsoft": {"idp": "microsoft", "idp_uid": "jane@example.onmicrosoft.com"},
}


def exchange(api, key):
    return api.call("POST", KEY, {"key": secret_of(key) if isinstance(key, ApiKey) else key})


def tokens(api, key):
    """The claims of the EDI token and the parts of the PASTA token that `key` is exchanged for."""
    response = exchange(api, key)
    assert response.status_code == 200
    return read_edi(response.json()["edi-token"]), read_pasta(response.json()["pasta-token"])


def test_answers_with_both_tokens_a_message_and_the_method(api):
    response = exchange(api, ApiKeyFactory())
    assert response.status_code == 200
    body = response.json()
    assert list(body) == ["msg", "pasta-token", "edi-token", "method"]
    assert (body["msg"], body["method"]) == ("Token created successfully", "getTokenByKey")


def test_answers_in_xml_where_accept_asks_for_it(api, parse_xml):
    key = ApiKeyFactory()
    response = api.call("POST", KEY, {"key": secret_of(key)}, headers={"Accept": "application/xml"})
    body = parse_xml(response)
    assert list(body) == ["msg", "pasta-token", "edi-token", "method"]
    assert read_edi(body["edi-token"])["sub"] == key.owner.edi_id
    assert read_pasta(body["pasta-token"])[0] == key.owner.idp_uid


def test_keeps_the_answer_out_of_caches(api):
    assert exchange(api, ApiKeyFactory())["Cache-Control"] == "no-store"


def test_gives_every_claim_of_an_ldap_identity(api):
    owner = ProfileFactory(
        idp_uid="uid=jane,o=EDI,dc=edirepository,dc=org",
        common_name="Jane Doe",
        email="jane@example.org",
        is_email_enabled=True,
    )
    edi, _ = tokens(api, ApiKeyFactory(owner=owner))
    assert list(edi.items()) == [
        ("sub", edi_id("uid=jane,o=EDI,dc=edirepository,dc=org")),
        ("cn", "Jane Doe"),
        ("email", "jane@example.org"),
        ("principals", sorted([PUBLIC, AUTHENTICATED, VETTED])),
        ("links", []),
        ("isEmailEnabled", True),
        ("isEmailVerified", False),
        ("idpCommonName", "Jane Doe"),
        ("idpName", "ldap"),
        ("idpUid", "uid=jane,o=EDI,dc=edirepository,dc=org"),
        ("iss", ISSUER),
        ("hd", DOMAIN),
        ("iat", SECONDS),
        ("nbf", SECONDS),
        ("exp", SECONDS + HOURS_8),
    ]


def test_tells_a_verified_from_an_enabled_email(api):
    edi, _ = tokens(api, ApiKeyFactory(owner=ProfileFactory(is_email_verified=True)))
    assert (edi["isEmailEnabled"], edi["isEmailVerified"]) == (False, True)


def test_gives_a_vetted_pasta_token_to_an_ldap_identity(api):
    owner = ProfileFactory()
    _, pasta = tokens(api, ApiKeyFactory(owner=owner))
    assert pasta == [owner.idp_uid, SYSTEM, TTL, "vetted", "authenticated"]


def test_calls_a_google_identity_by_its_email(api):
    owner = ProfileFactory(idp="google", idp_uid="117800000000000000001", email="jane@gmail.example")
    edi, pasta = tokens(api, ApiKeyFactory(owner=owner))
    assert edi["idpUid"] == edi["email"] == "jane@gmail.example"
    assert edi["sub"] == edi_id("117800000000000000001")
    assert edi["idpName"] == "google"
    assert pasta == ["jane@gmail.example", SYSTEM, TTL, "authenticated"]


@pytest.mark.parametrize("identity", OTHERS.values(), ids=OTHERS)
def test_calls_any_other_identity_as_its_provider_does(api, identity):
    edi, pasta = tokens(api, ApiKeyFactory(owner=ProfileFactory(**identity, email="")))
    assert (edi["sub"], edi["idpUid"]) == (edi_id(identity["idp_uid"]), identity["idp_uid"])
    assert (edi["idpName"], edi["email"]) == (identity["idp"], "")
    assert pasta == [identity["idp_uid"], SYSTEM, TTL, "authenticated"]


@pytest.mark.parametrize("identity", OTHERS.values(), ids=OTHERS)
def test_vets_ldap_identities_alone(api, identity):
    edi, _ = tokens(api, ApiKeyFactory(owner=ProfileFactory(**identity)))
    assert edi["principals"] == sorted([PUBLIC, AUTHENTICATED])


@pytest.mark.parametrize("name", ["", "Žofie Nováková 木村", 'O\'Neil <b>&amp;</b> "x"', "*"])
def test_keeps_any_name(api, name):
    edi, _ = tokens(api, ApiKeyFactory(owner=ProfileFactory(common_name=name)))
    assert edi["cn"] == edi["idpCommonName"] == name


def test_keeps_an_identity_beyond_ascii(api):
    uid = "uid=žofie 木村,o=EDI"
    edi, pasta = tokens(api, ApiKeyFactory(owner=ProfileFactory(idp_uid=uid)))
    assert edi["idpUid"] == pasta[0] == uid
    assert edi["sub"] == edi_id(uid)


def test_names_the_groups_of_the_profile_sorted(api):
    owner = ProfileFactory()
    groups = GroupFactory.create_batch(5)
    for group in groups:
        group.members.add(owner, ProfileFactory())
    edi, _ = tokens(api, ApiKeyFactory(owner=owner))
    assert edi["principals"] == sorted([PUBLIC, AUTHENTICATED, VETTED, *(group.edi_id for group in groups)])


def test_leaves_out_the_groups_of_others(api):
    GroupFactory().members.add(ProfileFactory())
    edi, _ = tokens(api, ApiKeyFactory())
    assert edi["principals"] == sorted([PUBLIC, AUTHENTICATED, VETTED])


def test_leaves_out_a_locked_group(api):
    owner, locked = ProfileFactory(), GroupFactory(locked_at=NOW)
    locked.members.add(owner)
    edi, _ = tokens(api, ApiKeyFactory(owner=owner))
    assert locked.edi_id not in edi["principals"]


def test_leaves_the_profile_itself_out_of_its_principals(api):
    owner = ProfileFactory()
    GroupFactory(edi_id=owner.edi_id).members.add(owner)
    edi, _ = tokens(api, ApiKeyFactory(owner=owner))
    assert edi["principals"] == sorted([PUBLIC, AUTHENTICATED, VETTED])


def test_names_the_linked_profiles_sorted_and_apart_from_the_principals(api):
    owner, group = ProfileFactory(), GroupFactory()
    group.members.add(owner)
    linked = ProfileFactory.create_batch(4)
    owner.links.set(linked)
    edi, _ = tokens(api, ApiKeyFactory(owner=owner))
    assert edi["links"] == sorted(profile.edi_id for profile in linked)
    assert edi["principals"] == sorted([PUBLIC, AUTHENTICATED, VETTED, group.edi_id])


def test_names_a_link_from_either_side(api):
    owner, linked = ProfileFactory(), ProfileFactory()
    owner.links.add(linked)
    edi, _ = tokens(api, ApiKeyFactory(owner=linked))
    assert edi["links"] == [owner.edi_id]


def test_names_a_linked_google_profile_also_by_its_address(api):
    owner = ProfileFactory(email="owner@example.org")
    google = ProfileFactory(idp="google", idp_uid="1234567890", email="jane@gmail.example")
    owner.links.set([google, ProfileFactory(idp="orcid", email="jane@orcid.example")])
    response = exchange(api, ApiKeyFactory(owner=owner)).json()
    linked = {profile.edi_id for profile in owner.links.all()}
    assert set(read_edi(response["edi-token"])["links"]) == linked | {edi_id("jane@gmail.example")}
    of_google = exchange(api, ApiKeyFactory(owner=google)).json()
    pair = {"edi-token": response["edi-token"], "pasta-token": of_google["pasta-token"]}
    assert api.call("POST", REFRESH, pair).status_code == 200


def test_gives_the_group_token_for_the_key_of_a_group(api):
    group = GroupFactory(name="Data Team")
    group.members.add(ProfileFactory())
    edi, _ = tokens(api, ApiKeyFactory(group=group))
    assert list(edi.items()) == [
        ("sub", group.edi_id),
        ("cn", "Data Team"),
        ("email", ""),
        ("principals", [PUBLIC]),
        ("links", []),
        ("isEmailEnabled", False),
        ("isEmailVerified", False),
        ("idpCommonName", "Data Team"),
        ("idpName", "group"),
        ("idpUid", "public"),
        ("iss", ISSUER),
        ("hd", DOMAIN),
        ("iat", SECONDS),
        ("nbf", SECONDS),
        ("exp", SECONDS + HOURS_8),
    ]


def test_gives_a_public_pasta_token_without_groups_for_the_key_of_a_group(api):
    _, pasta = tokens(api, ApiKeyFactory(group=GroupFactory()))
    assert pasta == ["public", SYSTEM, TTL]


def test_tells_nothing_of_the_owner_in_the_token_of_a_group(api):
    key = ApiKeyFactory(group=GroupFactory())
    edi, _ = tokens(api, key)
    assert {key.owner.edi_id, key.owner.email, key.owner.common_name}.isdisjoint(map(str, edi.values()))


def test_signs_the_edi_token_with_es256(api):
    header = jwt.get_unverified_header(exchange(api, ApiKeyFactory()).json()["edi-token"])
    assert (header["alg"], header["typ"]) == ("ES256", "JWT")
    assert header.keys() <= {"alg", "typ", "kid"}


def test_counts_in_whole_seconds_and_whole_milliseconds(api, clock):
    clock.move_to(NOW + timedelta(milliseconds=1234.9), tick=False)
    edi, pasta = tokens(api, ApiKeyFactory())
    assert (edi["iat"], edi["nbf"], edi["exp"]) == (SECONDS + 1, SECONDS + 1, SECONDS + 1 + HOURS_8)
    assert pasta[2] == str((SECONDS + HOURS_8) * 1000 + 1234)


@pytest.fixture
def slept(clock, monkeypatch):
    """How many seconds were slept; the clock goes on by as many."""
    naps = []

    def sleep(seconds):
        naps.append(seconds)
        clock.shift(seconds)

    monkeypatch.setattr("edi_auth.services.time.sleep", sleep)
    return naps


@pytest.mark.parametrize("is_group", [False, True], ids=["profile", "group"])
@pytest.mark.parametrize("ended", [0.000001, 0.3, 0.9])
def test_gives_tokens_that_count_in_the_second_in_which_those_of_before_were_ended(
    api, actor, clock, snapshot, slept, is_group, ended
):
    key = ApiKeyFactory(group=GroupFactory() if is_group else None)
    old = exchange(api, key).json()
    services.end_tokens(key.group or key.owner, actor=actor, now=NOW + timedelta(seconds=ended))
    clock.move_to(NOW + timedelta(seconds=0.9), tick=False)
    fresh = exchange(api, key).json()
    snapshot.renew()
    assert slept == [pytest.approx(0.1)]
    assert read_edi(fresh["edi-token"])["iat"] == SECONDS + 1
    statuses = [
        api.call("POST", REFRESH, {name: pair[name] for name in ("pasta-token", "edi-token")}).status_code
        for pair in (old, fresh)
    ]
    assert statuses == [403, 200]


def test_waits_when_the_end_lies_a_moment_ahead(api, slept):
    key = ApiKeyFactory(owner=ProfileFactory(tokens_valid_after=NOW + timedelta(milliseconds=1)))
    assert tokens(api, key)[0]["iat"] == SECONDS + 1
    assert slept == [1]


@pytest.mark.parametrize("ended", [-1, -0.001, 0, 1.001, 60], ids=lambda seconds: f"{seconds} s")
def test_waits_for_no_other_second(api, slept, ended):
    key = ApiKeyFactory(owner=ProfileFactory(tokens_valid_after=NOW + timedelta(seconds=ended)))
    assert tokens(api, key)[0]["iat"] == SECONDS
    assert slept == []


def test_waits_for_no_linked_profile_and_no_group(api, slept):
    ended = {"tokens_valid_after": NOW + timedelta(seconds=0.5)}
    owner = ProfileFactory()
    owner.links.add(ProfileFactory(**ended))
    GroupFactory(**ended).members.add(owner)
    assert tokens(api, ApiKeyFactory(owner=owner))[0]["iat"] == SECONDS
    assert slept == []


def test_lasts_as_long_as_the_settings_say(api, settings):
    settings.EDI_TOKEN_HOURS = 1
    edi, pasta = tokens(api, ApiKeyFactory())
    assert edi["exp"] == SECONDS + 3600
    assert pasta[2] == str((SECONDS + 3600) * 1000)


def test_names_issuer_domain_and_system_as_the_settings_do(api, settings):
    settings.EDI_JWT_ISSUER, settings.EDI_JWT_HOSTED_DOMAIN = "https://auth.example.org", "example.org"
    settings.PASTA_SYSTEM = "https://pasta.example.org"
    body = exchange(api, ApiKeyFactory()).json()
    edi = jwt.decode(body["edi-token"], options={"verify_signature": False})
    assert (edi["iss"], edi["hd"]) == ("https://auth.example.org", "example.org")
    assert read_pasta(body["pasta-token"])[1] == "https://pasta.example.org"


@pytest.mark.parametrize(
    "make",
    [
        ApiKeyFactory,
        lambda: ApiKeyFactory(owner__idp="google", owner__email="jane@gmail.example"),
        lambda: ApiKeyFactory(owner__idp="orcid", owner__email=""),
        lambda: ApiKeyFactory(group=GroupFactory()),
    ],
    ids=["ldap", "google", "orcid", "group"],
)
def test_gives_tokens_that_can_be_refreshed(api, make):
    body = exchange(api, make()).json()
    assert api.call("POST", REFRESH, {name: body[name] for name in ("pasta-token", "edi-token")}).status_code == 200


@pytest.mark.parametrize(
    ("starts_at", "expires_at"),
    [
        (None, None),
        (NOW, None),
        (None, NOW + MOMENT),
        (NOW, NOW + MOMENT),
        (datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)),
    ],
)
def test_accepts_a_key_within_its_validity(api, starts_at, expires_at):
    assert exchange(api, ApiKeyFactory(starts_at=starts_at, expires_at=expires_at)).status_code == 200


@pytest.mark.parametrize(
    ("starts_at", "expires_at"),
    [
        (NOW + MOMENT, None),
        (None, NOW),
        (NOW - MOMENT, NOW),
        (NOW + MOMENT, NOW + 2 * MOMENT),
        (None, NOW - timedelta(days=1)),
        (NOW + timedelta(days=1), None),
    ],
)
def test_refuses_a_key_outside_its_validity(api, starts_at, expires_at):
    response = exchange(api, ApiKeyFactory(starts_at=starts_at, expires_at=expires_at))
    assert (response.status_code, response.json()) == (401, INVALID)


def test_refuses_a_key_from_the_moment_it_expires(api, clock):
    key = ApiKeyFactory(expires_at=NOW + timedelta(seconds=1))
    assert exchange(api, key).status_code == 200
    clock.move_to(NOW + timedelta(seconds=1), tick=False)
    assert exchange(api, key).status_code == 401


@pytest.mark.parametrize(
    "change",
    [
        lambda key: "no-such-key",
        lambda key: secret_of(key).upper(),
        lambda key: secret_of(key)[:-1],
        lambda key: secret_of(key) + " ",
        lambda key: " " + secret_of(key),
        lambda key: key.key_hash,
        lambda key: key.preview,
        lambda key: str(key.pk),
        lambda key: key.name,
        lambda key: "%",
        lambda key: secret_of(key) + "\n",
        lambda key: "x" * 60_000,
        lambda key: "' OR 1=1 --",
        lambda key: "ключ",
    ],
    ids=[
        "other",
        "case",
        "cut",
        "space-after",
        "space-before",
        "hash",
        "preview",
        "id",
        "name",
        "like",
        "newline",
        "long",
        "sql",
        "non-ascii",
    ],
)
def test_refuses_an_unknown_key(api, change):
    response = exchange(api, change(ApiKeyFactory()))
    assert (response.status_code, response.json()) == (401, INVALID)


@pytest.mark.parametrize(
    "state",
    [
        {"revoked_at": NOW},
        {"revoked_at": NOW + timedelta(days=1)},
        {"is_active": False},
        {"owner__locked_at": NOW},
        {"group__locked_at": NOW},
        {"group__locked_at": None, "owner__locked_at": NOW},
        {"revoked_at": NOW, "expires_at": NOW},
        {"revoked_at": NOW, "starts_at": NOW + MOMENT},
        {"owner__locked_at": NOW, "expires_at": NOW},
    ],
    ids=str,
)
def test_forbids_a_key_that_was_ended_or_is_locked(api, state):
    group = {name.removeprefix("group__"): value for name, value in state.items() if name.startswith("group__")}
    own = {name: value for name, value in state.items() if not name.startswith("group__")}
    key = ApiKeyFactory(**own, group=GroupFactory(**group) if group else None)
    response = exchange(api, key)
    assert response.status_code == 403
    assert response.json().keys() == {"msg", "method"}


def test_gives_a_key_back_when_the_lock_is_taken_away(api):
    key = ApiKeyFactory(owner__locked_at=NOW)
    assert exchange(api, key).status_code == 403
    type(key.owner).objects.update(locked_at=None)
    assert exchange(api, key).status_code == 200


def test_does_not_mind_a_locked_group_for_a_key_of_the_owners_own(api):
    key = ApiKeyFactory()
    GroupFactory(locked_at=NOW).members.add(key.owner)
    assert exchange(api, key).status_code == 200


def test_counts_each_use_and_remembers_the_last(api, clock):
    key = ApiKeyFactory()
    exchange(api, key)
    clock.move_to(NOW + timedelta(minutes=1), tick=False)
    exchange(api, key)
    key.refresh_from_db()
    assert (key.use_count, key.last_used_at) == (2, NOW + timedelta(minutes=1))


def test_counts_the_use_of_that_key_alone(api):
    key, other = ApiKeyFactory(), ApiKeyFactory()
    exchange(api, key)
    other.refresh_from_db()
    assert (other.use_count, other.last_used_at) == (0, None)


@pytest.mark.parametrize("state", [{"revoked_at": NOW}, {"expires_at": NOW}, {"owner__locked_at": NOW}], ids=str)
def test_does_not_count_a_refusal(api, state):
    key = ApiKeyFactory(**state)
    exchange(api, key)
    key.refresh_from_db()
    assert (key.use_count, key.last_used_at) == (0, None)


@pytest.mark.parametrize("is_group", [False, True])
def test_asks_the_database_little(api, django_assert_num_queries, is_group):
    key = ApiKeyFactory(group=GroupFactory() if is_group else None)
    for group in GroupFactory.create_batch(3):
        group.members.add(key.owner)
    key.owner.links.set(ProfileFactory.create_batch(3))
    with django_assert_num_queries((1 if connection.vendor == "postgresql" else 2) + is_group):
        assert exchange(api, key).status_code == 200


def test_finds_judges_and_counts_a_key_in_one_statement(api):
    key = ApiKeyFactory()
    with CaptureQueriesContext(connection) as captured:
        exchange(api, key)
    begins = ["WITH updated AS (UPDATE"] if connection.vendor == "postgresql" else ["UPDATE", "SELECT"]
    assert all(query["sql"].startswith(begin) for query, begin in zip(captured, begins, strict=True))


@pytest.mark.parametrize("field", ["owner", "name", "admin", "edi-token"])
def test_passes_over_fields_that_are_not_documented(api, field):
    key = ApiKeyFactory()
    response = api.call("POST", KEY, {field: "x", "key": secret_of(key)})
    assert read_edi(response.json()["edi-token"])["sub"] == key.owner.edi_id


def test_takes_no_key_from_the_url(api):
    key = ApiKeyFactory()
    assert api.call("POST", f"{KEY}?key={secret_of(key)}").status_code == 400
    assert api.call("POST", f"{KEY}?key={secret_of(key)}", {"key": "other"}).status_code == 401


def test_takes_no_key_from_a_header(api):
    key = ApiKeyFactory()
    assert api.call("POST", KEY, {}, bearer=secret_of(key), headers={"X-API-Key": secret_of(key)}).status_code == 400


def test_sets_no_cookie(api):
    assert not exchange(api, ApiKeyFactory()).cookies


@pytest.mark.parametrize(
    ("networks", "address", "status"),
    [
        (["192.0.2.0/24"], "192.0.2.7", 200),
        (["192.0.2.0/24"], "192.0.3.7", 403),
        (["192.0.2.7"], "192.0.2.7", 200),
        (["198.51.100.0/24", "2001:db8::/32"], "2001:db8::1", 200),
        (["192.0.2.0/24"], "2001:db8::1", 403),
        (["192.0.2.0/24"], "::ffff:192.0.2.7", 200),
        (["192.0.2.0/24"], "", 403),
        (["192.0.2.0/24"], "nonsense", 403),
        ([], "nonsense", 200),
    ],
)
def test_takes_a_key_from_its_networks_alone(api, networks, address, status):
    key = ApiKeyFactory(allowed_networks=networks)
    response = api.generic("POST", KEY, orjson.dumps({"key": secret_of(key)}), REMOTE_ADDR=address)
    assert response.status_code == status
    key.refresh_from_db()
    assert key.use_count == (status == 200)


def test_believes_no_address_that_the_client_names_itself(api):
    key = ApiKeyFactory(allowed_networks=["192.0.2.0/24"])
    headers = {"X-Forwarded-For": "192.0.2.7", "Forwarded": "for=192.0.2.7", "X-Real-IP": "192.0.2.7"}
    assert api.call("POST", KEY, {"key": secret_of(key)}, headers=headers).status_code == 403


@pytest.mark.parametrize(("state", "status"), [({"expires_at": NOW}, 401), ({"revoked_at": NOW}, 403)], ids=str)
def test_tells_nobody_elsewhere_more_than_the_state_of_a_key(api, state, status):
    key = ApiKeyFactory(allowed_networks=["192.0.2.0/24"], **state)
    assert exchange(api, key).status_code == status


def test_refuses_a_key_that_ends_between_its_judgement_and_its_use(api, monkeypatch):
    key = ApiKeyFactory(allowed_networks=["127.0.0.1"])

    def end(row, address):
        return bool(ApiKey.objects.filter(pk=row.pk).update(revoked_at=NOW))

    monkeypatch.setattr(ApiKey, "allows", end)
    response = exchange(api, key)
    assert (response.status_code, response.json()) == (401, INVALID)
    key.refresh_from_db()
    assert (key.use_count, key.last_used_at) == (0, None)


def test_makes_no_tokens_for_a_profile_that_is_gone():
    with pytest.raises(NotFound):
        services.tokens_of(0, now=NOW)


def test_says_since_when_a_session_lasts_where_its_length_is_limited(api, settings):
    settings.EDI_MAX_SESSION_HOURS = 24
    for key in (ApiKeyFactory(), ApiKeyFactory(group=GroupFactory())):
        edi, _ = tokens(api, key)
        assert (edi["auth_time"], edi["exp"]) == (SECONDS, SECONDS + HOURS_8)

"""How long credentials may last, and from where they may be used."""

from datetime import timedelta

import pytest

from edi_auth import services as edi_services
from podcast_perf import services as podcast_services
from tests.client import APIClient
from tests.edi_auth.forge import KEY, NOW, SECONDS
from tests.factories import (
    ApiKeyFactory,
    NamedTokenFactory,
    ProfileFactory,
    PublisherFactory,
    secret_of,
    value_of,
)
from tokens import services as token_services
from tokens.core.errors import Invalid
from tokens.models import NamedToken

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

DAY = timedelta(days=1)


def milliseconds(length):
    return SECONDS * 1000 + length // timedelta(milliseconds=1)


def post(api, bearer, **body):
    return api.call("POST", "/_/token", {"name": "example", **body}, bearer=bearer)


def put(api, bearer, **body):
    return api.call("PUT", "/_/token", {"name": "example", **body}, bearer=bearer)


@pytest.mark.parametrize("given", [{}, {"expiration_date": None}], ids=["absent", "null"])
def test_gives_a_token_the_default_lifetime(api, bearer, settings, given):
    settings.NAMED_TOKEN_DEFAULT_LIFETIME = 90 * DAY
    assert post(api, bearer, **given).json()["data"][0]["expiration_date"] == milliseconds(90 * DAY)


def test_gives_a_token_another_lifetime_where_one_is_named(api, bearer, settings):
    settings.NAMED_TOKEN_DEFAULT_LIFETIME = 90 * DAY
    row = post(api, bearer, expiration_date=milliseconds(365 * DAY)).json()["data"][0]
    assert row["expiration_date"] == milliseconds(365 * DAY)


@pytest.fixture
def limited(settings):
    """Nothing lasts longer than thirty days."""
    settings.NAMED_TOKEN_MAX_LIFETIME = settings.API_KEY_MAX_LIFETIME = settings.PUBLISHER_MAX_LIFETIME = 30 * DAY


ALLOWED = [timedelta(0), DAY, 30 * DAY, -DAY]
REFUSED = [30 * DAY + timedelta(milliseconds=1), 31 * DAY, 3650 * DAY]


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize("length", ALLOWED, ids=str)
def test_takes_what_lies_within_the_maximum(api, bearer, length):
    assert post(api, bearer, expiration_date=milliseconds(length)).status_code == 201
    assert put(api, bearer, expiration_date=milliseconds(length)).status_code == 200


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize("length", REFUSED, ids=str)
def test_refuses_what_lies_beyond_the_maximum(api, bearer, length):
    response = post(api, bearer, expiration_date=milliseconds(length))
    assert response.status_code == 400
    assert response.json()["error"].startswith("expiration_date: must lie within 30 days")
    assert not NamedToken.objects.filter(name="example").exists()


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize("given", [{}, {"expiration_date": None}], ids=["absent", "null"])
def test_makes_no_token_for_ever_where_there_is_a_maximum(api, bearer, given):
    assert post(api, bearer, **given).status_code == 400


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize("date", [None, *(milliseconds(length) for length in REFUSED)])
def test_lengthens_no_token_beyond_the_maximum(api, bearer, date):
    token = NamedTokenFactory(name="example", expires_at=NOW + DAY)
    assert put(api, bearer, expiration_date=date).status_code == 400
    token.refresh_from_db()
    assert token.expires_at == NOW + DAY


@pytest.mark.parametrize(("length", "words"), [(DAY, "1 day"), (timedelta(hours=12), "12 hours")])
def test_says_how_long_is_allowed(api, bearer, settings, length, words):
    settings.NAMED_TOKEN_MAX_LIFETIME = length
    assert words in post(api, bearer, expiration_date=milliseconds(2 * DAY)).json()["error"]


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize("expires_at", [None, NOW + 3650 * DAY], ids=["never", "late"])
def test_shortens_no_token_that_there_was_before_the_maximum(api, bearer, clock, expires_at):
    token = NamedTokenFactory(name="example", expires_at=expires_at)
    assert put(api, bearer, write=False).status_code == 200
    shown = put(api, bearer).json()["data"][0]["expiration_date"]
    if expires_at is None:
        assert put(api, bearer, expiration_date=shown).status_code == 200
    clock.shift(365 * DAY)
    assert api.call("GET", "/_/token", bearer=value_of(token)).status_code == 200
    token.refresh_from_db()
    assert token.expires_at == expires_at


@pytest.mark.usefixtures("limited")
def test_rotates_a_token_that_there_was_before_the_maximum(api, bearer):
    NamedTokenFactory(name="example")
    response = api.call("POST", "/_/token/rotate", {"name": "example"}, bearer=bearer)
    assert response.status_code == 200


def mint_key(actor, expires_at):
    return edi_services.mint_key("key", owner=ProfileFactory(), actor=actor, expires_at=expires_at).row


def add_publisher(actor, expires_at):
    return podcast_services.add_publisher("Radio", actor=actor, expires_at=expires_at).row


def update_key(actor, expires_at):
    key = ApiKeyFactory()
    edi_services.update(key, actor=actor, expires_at=expires_at)
    key.refresh_from_db()
    return key


def update_publisher(actor, expires_at):
    return podcast_services.update_publisher(PublisherFactory(), actor=actor, expires_at=expires_at)


MAKERS = [mint_key, add_publisher, update_key, update_publisher]


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize("make", MAKERS)
def test_limits_keys_likewise(actor, make):
    assert make(actor, NOW + 30 * DAY).expires_at == NOW + 30 * DAY


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("expires_at", [None, NOW + 30 * DAY + timedelta(seconds=1)], ids=["never", "late"])
def test_refuses_keys_beyond_the_maximum(actor, make, expires_at):
    with pytest.raises(Invalid, match="30 days"):
        make(actor, expires_at)


@pytest.mark.parametrize(("make", "setting"), [(mint_key, "API_KEY"), (add_publisher, "PUBLISHER")])
def test_gives_keys_the_default_lifetime(settings, actor, make, setting):
    setattr(settings, f"{setting}_DEFAULT_LIFETIME", 7 * DAY)
    assert make(actor, None).expires_at == NOW + 7 * DAY
    assert NamedTokenFactory().expires_at is None


INSIDE = [
    (["192.0.2.0/24"], "192.0.2.0"),
    (["192.0.2.0/24"], "192.0.2.255"),
    (["192.0.2.7"], "192.0.2.7"),
    (["192.0.2.7/32"], "::ffff:192.0.2.7"),
    (["2001:db8::/32"], "2001:db8:ffff::1"),
    (["2001:db8::/32"], "2001:db8::1%eth0"),
    (["198.51.100.0/24", "192.0.2.0/24"], "192.0.2.1"),
    (["0.0.0.0/0"], "203.0.113.9"),
    ([], "203.0.113.9"),
    ([], ""),
]
OUTSIDE = [
    (["192.0.2.0/24"], "192.0.3.0"),
    (["192.0.2.7"], "192.0.2.8"),
    (["2001:db8::/32"], "2001:db9::1"),
    (["0.0.0.0/0"], "2001:db8::1"),
    (["::/0"], "192.0.2.1"),
    (["192.0.2.0/24"], ""),
    (["192.0.2.0/24"], "unix:"),
]
DOORS = [
    (NamedTokenFactory, value_of, lambda api, raw: api.call("GET", "/_/token", bearer=raw), 401),
    (NamedTokenFactory, value_of, lambda api, raw: api.call("POST", "/introspect", {"token": "x"}, bearer=raw), 401),
    (NamedTokenFactory, value_of, lambda api, raw: api.call("POST", "/revoke", {"token": "x"}, bearer=raw), 401),
    (PublisherFactory, secret_of, lambda api, raw: api.call("GET", "/token", headers={"X-PUB-KEY": raw}), 400),
    (ApiKeyFactory, secret_of, lambda api, raw: api.call("POST", KEY, {"key": raw}), 403),
]
every_door = pytest.mark.parametrize(
    ("factory", "present", "door", "status"), DOORS, ids=["list", "introspect", "revoke", "fetch", "exchange"]
)


@every_door
@pytest.mark.parametrize(("networks", "address"), INSIDE)
def test_opens_from_where_it_may_be_used(factory, present, door, status, networks, address):
    raw = present(factory(allowed_networks=networks))
    assert door(APIClient(REMOTE_ADDR=address), raw).status_code == 200


@every_door
@pytest.mark.parametrize(("networks", "address"), OUTSIDE)
def test_opens_from_nowhere_else(factory, present, door, status, networks, address):
    raw = present(factory(allowed_networks=networks))
    assert door(APIClient(REMOTE_ADDR=address), raw).status_code == status


@every_door
def test_believes_nobody_who_claims_to_be_elsewhere(factory, present, door, status):
    raw = present(factory(allowed_networks=["192.0.2.0/24"]))
    names = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_CLIENT_IP")
    client = APIClient(REMOTE_ADDR="203.0.113.9", **dict.fromkeys(names, "192.0.2.7"))
    assert door(client, raw).status_code == status


@every_door
def test_believes_a_trusted_proxy(factory, present, door, status, settings):
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    raw = present(factory(allowed_networks=["192.0.2.0/24"]))
    for forwarded, expected in (
        ("192.0.2.7", 200),
        ("192.0.2.7, 203.0.113.9", status),
        ("203.0.113.9, 192.0.2.7", 200),
    ):
        client = APIClient(REMOTE_ADDR="10.1.1.1", HTTP_X_FORWARDED_FOR=forwarded)
        assert door(client, raw).status_code == expected


def test_refuses_from_elsewhere_in_the_words_for_whatever_is_not_usable():
    away = APIClient(REMOTE_ADDR="203.0.113.9")
    limited = away.call("GET", "/_/token", bearer=value_of(NamedTokenFactory(allowed_networks=["192.0.2.0/24"])))
    unknown = away.call("GET", "/_/token", bearer="x.y.z")
    assert (limited.status_code, limited.content) == (unknown.status_code, unknown.content)


def test_counts_no_use_from_elsewhere():
    key, token = ApiKeyFactory(allowed_networks=["192.0.2.0/24"]), NamedTokenFactory(allowed_networks=["192.0.2.0/24"])
    away = APIClient(REMOTE_ADDR="203.0.113.9")
    away.call("POST", KEY, {"key": secret_of(key)})
    away.call("GET", "/_/token", bearer=value_of(token))
    key.refresh_from_db()
    token.refresh_from_db()
    assert (key.use_count, key.last_used_at, token.last_used_at) == (0, None, None)


def test_counts_each_use_from_where_it_may_be_used_once():
    key = ApiKeyFactory(allowed_networks=["192.0.2.0/24"])
    assert APIClient(REMOTE_ADDR="192.0.2.7").call("POST", KEY, {"key": secret_of(key)}).status_code == 200
    key.refresh_from_db()
    assert (key.use_count, key.last_used_at) == (1, NOW)


@every_door
def test_limits_the_previous_secret_with_the_credential(actor, factory, present, door, status):
    row = factory(allowed_networks=["192.0.2.0/24"])
    raw = present(row)
    row.rotate("0" * 64 if factory is not NamedTokenFactory else str(row.pk).rjust(32, "0"), grace=DAY, now=NOW)
    row.save()
    assert door(APIClient(REMOTE_ADDR="192.0.2.7"), raw).status_code == 200
    assert door(APIClient(REMOTE_ADDR="203.0.113.9"), raw).status_code == status


NONSENSE = [["192.0.2.1/24"], ["x"], [""], ["192.0.2.0/33"], [None], [1], [True], "192.0.2.0/24", "", {}, 0, False]


@pytest.mark.parametrize("networks", NONSENSE, ids=repr)
def test_refuses_networks_that_make_no_sense(actor, networks):
    key, token, publisher = ApiKeyFactory(), NamedTokenFactory(name="example"), PublisherFactory()
    for call in (
        lambda: edi_services.update(key, actor=actor, allowed_networks=networks),
        lambda: edi_services.mint_key("new", owner=key.owner, actor=actor, allowed_networks=networks),
        lambda: token_services.update("example", actor=actor, allowed_networks=networks),
        lambda: token_services.mint("new", actor=actor, allowed_networks=networks),
        lambda: podcast_services.update_publisher(publisher, actor=actor, allowed_networks=networks),
        lambda: podcast_services.add_publisher("new", actor=actor, allowed_networks=networks),
    ):
        with pytest.raises(Invalid, match=r"^allowed_networks: "):
            call()
    for row in (key, token, publisher):
        row.refresh_from_db()
        assert row.allowed_networks == []
        assert type(row).objects.count() == 1

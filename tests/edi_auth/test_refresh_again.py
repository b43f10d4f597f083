"""POST /auth/v1/token/refresh within a minute of another: what need not be signed or verified again, and what must."""

import base64
from contextlib import nullcontext
from datetime import timedelta
from itertools import product

import pytest

from edi_auth import claims as edi_claims
from edi_auth import pasta as edi_pasta
from edi_auth import services
from tests.edi_auth.forge import (
    HOURS_8,
    NOW,
    REFRESH,
    SECONDS,
    UID,
    claims,
    edi,
    edi_id,
    other_edi_key,
    pasta,
    pasta_text,
    read_edi,
    read_pasta,
)
from tests.factories import ProfileFactory
from tokens.core import signing
from tokens.core.errors import Forbidden

pytestmark = pytest.mark.usefixtures("clock")

OTHER = "uid=other,o=EDI,dc=edirepository,dc=org"
DIGEST = 32  # the length of what results are kept under


@pytest.fixture(autouse=True)
def rounding(settings):
    """The shipped value."""
    settings.PASTA_TTL_ROUNDING_SECONDS = 60


@pytest.fixture(autouse=True)
def _forget():
    """Begin with nothing signed or verified."""
    edi_pasta._load_keys.cache_clear()
    signing._ec_ring.cache_clear()


@pytest.fixture
def signatures(monkeypatch):
    """The texts that were signed with RSA."""
    signed, ours = [], edi_pasta.keys()

    class Counting:
        def sign(self, data, *scheme):
            signed.append(base64.b64decode(data).decode())
            return ours.signing.sign(data, *scheme)

    counting = edi_pasta.Keys(Counting(), ours.verifying)
    monkeypatch.setattr(edi_pasta, "keys", lambda: counting)
    return signed


def refresh(api, pasta_token, edi_token):
    return api.call("POST", REFRESH, {"pasta-token": pasta_token, "edi-token": edi_token})


def own(uid):
    """A genuine pair of tokens of the identity `uid`."""
    return pasta(pasta_text(uid)), edi(claims(sub=edi_id(uid), idpUid=uid, email="", links=[]))


@pytest.mark.parametrize("after", [0.001, 1, 59.999, 60, 61.5])
def test_rounds_the_end_of_a_renewed_token_up_to_a_whole_minute(api, clock, after):
    pair = pasta(), edi()
    clock.move_to(NOW + timedelta(seconds=after), tick=False)
    ttl = int(read_pasta(refresh(api, *pair).json()["pasta-token"])[2])
    exact = (SECONDS + after + HOURS_8) * 1000
    assert ttl % 60_000 == 0
    assert exact <= ttl < exact + 60_000


def test_rounds_nothing_when_that_is_off(api, clock, settings):
    settings.PASTA_TTL_ROUNDING_SECONDS = 0
    pair = pasta(), edi()
    clock.move_to(NOW + timedelta(seconds=1.5), tick=False)
    assert int(read_pasta(refresh(api, *pair).json()["pasta-token"])[2]) == (SECONDS + HOURS_8) * 1000 + 1500


def test_rounds_nothing_beyond_the_end_of_a_session(api, clock, settings):
    settings.EDI_MAX_SESSION_HOURS = 8
    pair = pasta(), edi()
    clock.move_to(NOW + timedelta(seconds=30), tick=False)
    assert int(read_pasta(refresh(api, *pair).json()["pasta-token"])[2]) == (SECONDS + HOURS_8) * 1000


def test_signs_a_text_once_within_its_minute(api, clock, signatures):
    pair = pasta(), edi()
    given = set()
    for seconds in (1, 2, 30, 59):
        clock.move_to(NOW + timedelta(seconds=seconds), tick=False)
        given.add(refresh(api, *pair).json()["pasta-token"])
    assert len(signatures) == len(given) == 1
    clock.move_to(NOW + timedelta(seconds=61), tick=False)
    assert refresh(api, *pair).json()["pasta-token"] not in given
    assert len(signatures) == 2


def test_gives_the_edi_token_its_own_times_every_time(api, clock):
    pair = pasta(), edi()
    for seconds in (1, 2, 30):
        clock.move_to(NOW + timedelta(seconds=seconds), tick=False)
        renewed = read_edi(refresh(api, *pair).json()["edi-token"])
        assert (renewed["iat"], renewed["exp"]) == (SECONDS + seconds, SECONDS + seconds + HOURS_8)


def test_signs_the_same_claims_once_within_their_second(api, clock):
    """ECDSA signs them differently every time."""
    pair, given = own(UID), []
    for seconds in (1, 1, 1.9, 2):
        clock.move_to(NOW + timedelta(seconds=seconds), tick=False)
        given.append(refresh(api, *pair).json()["edi-token"])
    assert given[0] == given[1] == given[2] != given[3]
    assert [read_edi(token)["iat"] for token in given] == [SECONDS + 1] * 3 + [SECONDS + 2]


def test_signs_the_same_claims_anew_with_another_key(api):
    pair = own(UID)
    before = refresh(api, *pair).json()["edi-token"]
    signing._ec_ring.cache_clear()
    after = refresh(api, *pair).json()["edi-token"]
    assert before.rpartition(".")[0] == after.rpartition(".")[0]
    assert before != after


def test_never_mixes_two_identities_up(api):
    pairs = {uid: own(uid) for uid in (UID, OTHER)}
    for _ in range(3):
        for uid, pair in pairs.items():
            body = refresh(api, *pair).json()
            assert read_pasta(body["pasta-token"])[0] == read_edi(body["edi-token"])["idpUid"] == uid


def test_forbids_crossed_pairs_of_which_each_token_was_just_good(api):
    pairs = [own(UID), own(OTHER)]
    assert [refresh(api, *pair).status_code for pair in pairs] == [200, 200]
    crossed = [(mine[0], theirs[1]) for mine, theirs in product(pairs, pairs) if mine is not theirs]
    assert [refresh(api, *pair).status_code for pair in crossed] == [403, 403]


def test_refuses_an_edi_token_that_has_expired_since_it_was_good(api, clock):
    pair = pasta(), edi()
    clock.move_to(NOW + timedelta(seconds=HOURS_8 - 1), tick=False)
    assert refresh(api, *pair).status_code == 200
    clock.move_to(NOW + timedelta(seconds=HOURS_8), tick=False)
    assert refresh(api, *pair).status_code == 401


@pytest.mark.django_db
@pytest.mark.parametrize("end", ["lock", "end_tokens"])
def test_forbids_what_was_ended_since_it_was_good(api, actor, clock, snapshot, end):
    profile = ProfileFactory(idp_uid=UID)
    pair = pasta(), edi()
    clock.move_to(NOW + timedelta(seconds=1), tick=False)
    assert refresh(api, *pair).status_code == 200
    if end == "lock":
        services.set_locked(profile, True, actor=actor)
    else:
        services.end_tokens(profile, actor=actor)
    snapshot.renew()
    assert refresh(api, *pair).status_code == 403


@pytest.mark.parametrize("which", [0, 1], ids=["pasta", "edi"])
def test_refuses_another_signature_under_what_was_just_good(api, which):
    pair = [pasta(), edi()]
    assert refresh(api, *pair).status_code == 200
    forged = pasta(key=None, algorithm=None)[:-8] + "AAAAAAA=" if which == 0 else edi(key=other_edi_key())
    pair[which] = forged
    assert refresh(api, *pair).status_code == 401


@pytest.mark.parametrize("which", [0, 1], ids=["pasta", "edi"])
def test_verifies_what_failed_once_more(api, which):
    pair = [pasta(), edi()]
    pair[which] = pair[which][:-6] + "AAAAAA"
    assert [refresh(api, *pair).status_code for _ in range(3)] == [401] * 3


def test_holds_no_token(api):
    pair = pasta(), edi()
    body = refresh(api, *pair).json()
    keys, ring = edi_pasta.keys(), services.ring()
    kept = [keys.signatures, keys.verified, ring._verified, ring._signed]
    assert [len(results._younger) for results in kept] == [1, 1, 1, 1]
    assert {len(fingerprint) for results in kept for fingerprint in results._younger} == {DIGEST}
    held = repr([results._younger for results in kept])
    assert not [token for token in (*pair, body["pasta-token"], body["edi-token"]) if token in held]


@pytest.mark.django_db
def test_takes_a_renewed_token_for_as_old_as_it_may_be(actor, clock, snapshot, api):
    profile = ProfileFactory(idp_uid=UID)
    pair = pasta(), edi()
    clock.move_to(NOW + timedelta(seconds=1), tick=False)
    stolen = refresh(api, *pair).json()["pasta-token"]
    clock.move_to(NOW + timedelta(seconds=2), tick=False)
    services.end_tokens(profile, actor=actor)
    snapshot.renew()
    with pytest.raises(Forbidden):
        services.verify_pasta(stolen, NOW + timedelta(seconds=3))


@pytest.mark.django_db
@pytest.mark.parametrize(("after", "is_dead"), [(11.999, True), (12.001, False)])
def test_takes_a_token_for_as_old_as_a_revocation_that_was_not_known_then(actor, clock, snapshot, after, is_dead):
    services.end_tokens(ProfileFactory(idp_uid=UID), actor=actor)
    snapshot.renew()
    token = pasta(pasta_text(ttl=int((SECONDS + HOURS_8 + after) * 1000)))
    with pytest.raises(Forbidden) if is_dead else nullcontext():
        services.verify_pasta(token, NOW + timedelta(seconds=13))


@pytest.mark.parametrize("step", [0, 7, 60])
def test_knows_when_a_token_can_have_been_made(step):
    for seconds in (0.001, 6.999, 31.5, 59.999):
        made = NOW + timedelta(seconds=seconds)
        first = edi_claims.pasta_issued_at(edi_claims.pasta_ttl(made), hours=8)
        ttl = edi_claims.pasta_ttl(made, step=step)
        renewed = edi_claims.pasta_issued_at(ttl, hours=8)
        assert first == pytest.approx(made.timestamp(), abs=0.002)
        assert made.timestamp() - (60 if step else 0) - 0.002 <= renewed <= made.timestamp()

"""The claims of EDI tokens, as far as HTTP does not show it."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from edi_auth import claims
from edi_auth.models import edi_id_of
from tests.conftest import VECTORS
from tests.edi_auth import forge
from tests.factories import GroupFactory, ProfileFactory
from tokens.core.errors import InvalidCredential

MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 — hypothesis adds the zone
PROPERTY = hypothesis_settings(max_examples=200, deadline=None, database=None, derandomize=True)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def issued(now):
    """The times of claims that are renewed at `now`."""
    return claims.renewed({"iat": 0}, known_until=math.inf, now=now)


def test_makes_the_edi_id_of_other_implementations():
    assert edi_id_of(VECTORS["edi_id"]["idp_uid"]) == VECTORS["edi_id"]["edi_id"]


@PROPERTY
@given(now=MOMENTS)
def test_puts_the_end_of_a_pasta_token_eight_hours_on_to_the_millisecond(now):
    exact = (now + timedelta(hours=8) - EPOCH) / timedelta(milliseconds=1)
    assert abs(claims.pasta_ttl(now) - exact) <= 1


@PROPERTY
@given(now=MOMENTS)
def test_counts_whole_seconds_that_have_passed(now):
    seconds = (now - EPOCH) // timedelta(seconds=1)
    times = {"iat": seconds, "nbf": seconds, "exp": seconds + forge.HOURS_8}
    assert issued(now) == times


@PROPERTY
@given(now=MOMENTS, later=st.timedeltas(timedelta(0), timedelta(hours=7, minutes=59)))
def test_holds_from_the_moment_it_is_made(now, later):
    claims.check(forge.claims() | issued(now), now=now + later)
    with pytest.raises(InvalidCredential):
        claims.check(forge.claims() | issued(now), now=now + later + timedelta(hours=8, seconds=1))


def test_leaves_the_old_claims_alone_when_it_renews():
    old = forge.claims()
    claims.renewed(old, known_until=math.inf, now=forge.NOW + timedelta(hours=1))
    assert old == forge.claims()


@pytest.mark.parametrize("order", [1, -1])
def test_sorts_principals_and_links_whatever_order_they_come_in(order):
    ids = [edi_id_of(str(number)) for number in range(9)][::order]
    made = claims.of_profile(ProfileFactory.build(), groups=iter(ids), links=iter(ids), now=forge.NOW)
    assert made["links"] == sorted(ids)
    assert made["principals"] == sorted(made["principals"])
    assert set(ids) <= set(made["principals"])


def test_names_a_principal_once():
    public = edi_id_of("public")
    made = claims.of_profile(ProfileFactory.build(), groups=[public, public], links=[], now=forge.NOW)
    assert made["principals"].count(public) == 1


def test_names_nobody_as_a_principal_of_itself():
    profile = ProfileFactory.build()
    made = claims.of_profile(profile, groups=[profile.edi_id], links=[], now=forge.NOW)
    assert profile.edi_id not in made["principals"]


def test_ends_with_the_calendar():
    last = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    now = last - timedelta(hours=7)
    made = forge.claims() | issued(now)
    assert made["exp"] == int(last.timestamp())
    claims.check(made, now=now)
    assert claims.pasta_ttl(now) == int(last.timestamp()) * 1000 + 999
    with pytest.raises(InvalidCredential):
        claims.check(made | {"exp": made["exp"] + 1}, now=now)


def test_tells_the_claims_of_a_group_from_those_of_a_person():
    assert claims.is_group(claims.of_group(GroupFactory.build(), now=forge.NOW))
    assert not claims.is_group(claims.of_profile(ProfileFactory.build(), groups=[], links=[], now=forge.NOW))

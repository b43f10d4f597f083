"""`Authorization: Bearer` (RFC 6750)."""

import pytest

from tests.factories import NamedTokenFactory, value_of
from tokens.core.http import BEARER_REFUSED

pytestmark = pytest.mark.django_db


@pytest.fixture
def ask(api):
    """Send an Authorization header to `/_/token`."""
    return lambda header: api.call("GET", "/_/token", headers={} if header is None else {"Authorization": header})


@pytest.fixture
def value():
    return value_of(NamedTokenFactory(name="bearer"))


@pytest.mark.parametrize("shape", ["Bearer {}", "bearer {}", "BEARER {}", "Bearer   {}", "Bearer {}  "])
def test_takes_the_scheme_in_any_case(ask, value, shape):
    assert ask(shape.format(value)).status_code == 200


@pytest.mark.parametrize(
    "shape",
    [
        None,
        "",
        "{}",
        "Bearer",
        "Bearer ",
        "Bearer{}",
        "Basic {}",
        "Token {}",
        "Bearer {} more",
        "Bearer {},{}",
        "Bearer token={}",
        "Bearer {}=",
        "Bearer {}\t",
        "Bearer  ",
        "Bearer ümlaut",
        "Bearer x",
        "Bearer null",
    ],
)
def test_refuses_every_other_header_in_the_same_words(ask, value, shape):
    response = ask(None if shape is None else shape.format(value, value))
    assert response.status_code == 401
    assert response.json() == {"error": BEARER_REFUSED}
    assert response["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("part", ["?access_token={}", "?token={}", "?bearer={}"])
def test_takes_no_credential_from_a_url(api, value, part):
    assert api.call("GET", "/_/token" + part.format(value)).status_code in {400, 401}


def test_takes_no_credential_from_a_body(api, value):
    response = api.call("POST", "/_/token", {"name": "ci", "access_token": value})
    assert response.status_code == 401

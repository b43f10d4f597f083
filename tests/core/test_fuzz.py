"""Whatever a client sends, the parsers answer or raise an error of ours."""

import io
import string

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.exceptions import ParseError

from edi_auth import pasta
from edi_auth import services as edi_services
from podcast_perf import services as podcast_services
from tests.client import APIClient
from tokens import services as token_services
from tokens.core import kinds
from tokens.core.errors import InvalidCredential, RegistryError
from tokens.core.http import JSONBodyParser
from tokens.oauth.views import FormOrJSONParser

many = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
few = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

base64_text = st.text(alphabet=string.ascii_letters + string.digits + "+/=-_", max_size=60)


@st.composite
def damaged(draw, made):
    """A genuine credential with a piece cut out, doubled, or put in."""
    start = draw(st.integers(0, len(made)))
    end = draw(st.integers(start, len(made)))
    return made[:start] + draw(st.text(max_size=5) | st.just(made[start:end] * 2)) + made[end:]


# Made before any test: what a client then puts into the name of a token is no secret of that test.
PASTA = pasta.sign(pasta.PastaToken("uid=x", "https://pasta.edirepository.org/authentication", 1, "authenticated"))
EDI = edi_services.ring().sign({"a": 1})


def shapes():
    """Texts that look like tokens, and texts that do not."""
    jws = st.tuples(base64_text, base64_text, base64_text).map(".".join)
    pair = st.tuples(base64_text, base64_text).map("-".join)
    return st.one_of(st.text(max_size=200), jws, pair, damaged(PASTA), damaged(EDI))


@many
@given(data=st.data())
def test_the_pasta_parser_raises_nothing_but_refusals(data):
    raw = data.draw(shapes())
    try:
        token = pasta.verify(raw)
    except InvalidCredential:
        return
    assert pasta.sign(token) == raw


@many
@given(data=st.data())
@pytest.mark.parametrize("ring", [edi_services.ring, token_services.ring, podcast_services.ring])
def test_the_jwt_path_raises_nothing_but_refusals(ring, data):
    raw = data.draw(shapes())
    try:
        claims = ring().verify(raw)
    except InvalidCredential:
        return
    assert isinstance(claims, dict)


bodies = st.one_of(
    st.binary(max_size=300),
    st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.dictionaries(st.text(max_size=8), st.text(max_size=20), max_size=5).map(orjson.dumps),
    st.sampled_from(
        [b"[" * 5000, b'{"a":' * 5000, b"\xef\xbb\xbf{}", b'{"a": 1e999}', b'{"a": NaN}', b'{"\\ud800": 1}']
    ),
)


@many
@given(raw=bodies)
@pytest.mark.parametrize("parser", [JSONBodyParser(), FormOrJSONParser()], ids=["JSON", "form or JSON"])
def test_the_body_parsers_raise_nothing_but_refusals(parser, raw):
    try:
        parsed = parser.parse(io.BytesIO(raw))
    except ParseError:
        return
    assert isinstance(parsed, dict)


ROUTES = [
    ("POST", "/_/token"),
    ("PUT", "/_/token"),
    ("DELETE", "/_/token"),
    ("POST", "/_/token/rotate"),
    ("POST", "/auth/v1/key"),
    ("POST", "/auth/v1/token/refresh"),
    ("POST", "/introspect"),
    ("POST", "/revoke"),
]
FIELDS = {
    "/_/token": ["name", "expiration_date", "active", "write"],
    "/_/token/rotate": ["name", "grace"],
    "/auth/v1/key": ["key"],
    "/auth/v1/token/refresh": ["pasta-token", "edi-token"],
    "/introspect": ["token", "token_type_hint"],
    "/revoke": ["token", "token_type_hint"],
}
plain_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@few
@given(data=st.data())
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_no_body_of_documented_fields_makes_a_500(bearer, method, path, data):
    names = st.sampled_from(FIELDS[path])
    body = data.draw(st.dictionaries(names, plain_values | shapes(), max_size=4))
    answer = APIClient().call(method, path, orjson.dumps(body), bearer=bearer)
    assert answer.status_code < 500
    assert "Traceback" not in answer.content.decode()


@few
@given(data=st.data())
def test_no_credential_makes_any_kind_fail(db, data):
    raw = data.draw(shapes())
    for kind in kinds.all_kinds():
        for ask in (kind.looks_like, kind.find):
            try:
                ask(raw)
            except RegistryError:
                continue

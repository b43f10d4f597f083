"""GET /auth/v1/public-key: the PEM for clients that pin a file."""

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_public_key

from tests.edi_auth.forge import EDI_KEY, KEY, other_edi_key, private_pem, public_bytes
from tests.factories import ApiKeyFactory, secret_of

PATH = "/auth/v1/public-key"


def test_is_the_public_half_of_the_key_that_signs(api):
    response = api.call("GET", PATH)
    assert response.status_code == 200
    assert response.content == public_bytes(EDI_KEY, Encoding.PEM)
    assert isinstance(load_pem_public_key(response.content), ec.EllipticCurvePublicKey)


def test_shows_no_private_part(api):
    content = api.call("GET", PATH).content
    assert content.startswith(b"-----BEGIN PUBLIC KEY-----\n")
    assert content.count(b"-----BEGIN") == 1


@pytest.mark.django_db
def test_verifies_an_edi_token(api):
    token = api.call("POST", KEY, {"key": secret_of(ApiKeyFactory())}).json()["edi-token"]
    read = jwt.decode(token, api.call("GET", PATH).content.decode(), algorithms=["ES256"])
    assert read["iss"] == "https://auth.edirepository.org"


@pytest.mark.parametrize("name", ["edi.next.pem", "edi.old-1790000000.pem"])
def test_stays_that_of_the_active_key_beside_others(api, tmp_path, settings, name):
    (tmp_path / "edi.pem").write_bytes(private_pem(EDI_KEY))
    (tmp_path / name).write_bytes(private_pem(other_edi_key()))
    settings.EDI_JWT_PRIVATE_KEY_PATH = tmp_path / "edi.pem"
    assert api.call("GET", PATH).content == public_bytes(EDI_KEY, Encoding.PEM)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_may_be_kept_for_a_while(api, method):
    response = api.call(method, PATH)
    assert response.status_code == 200
    assert response["Cache-Control"] == "public, max-age=300"
    assert response["Content-Type"] == "application/x-pem-file"


@pytest.mark.parametrize("accept", ["application/xml", "application/json", "text/html", "x"])
def test_is_a_pem_file_whatever_accept_says(api, accept):
    response = api.call("GET", PATH, headers={"Accept": accept})
    assert response.content == public_bytes(EDI_KEY, Encoding.PEM)


def test_needs_no_credential(api):
    assert api.call("GET", PATH, bearer="x", headers={"Cookie": "edi-token=x"}).status_code == 200


def test_says_in_the_dialect_that_there_is_no_key_and_not_where(api, tmp_path, settings):
    api.raise_request_exception = False
    settings.EDI_JWT_PRIVATE_KEY_PATH = tmp_path / "nothing" / "edi.pem"
    response = api.call("GET", PATH)
    assert response.status_code == 500
    assert response.json()["method"] == "getPublicKey"
    assert str(tmp_path) not in response.content.decode()
    assert "max-age" not in response["Cache-Control"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_answers_to_get_alone(api, method):
    response = api.call(method, PATH)
    assert (response.status_code, response.json()["method"]) == (405, "getPublicKey")

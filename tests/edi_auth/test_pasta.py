"""The PASTA token: its text, its signature, its keys."""

import base64

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from edi_auth import pasta
from edi_auth.pasta import PastaToken
from tests.conftest import VECTORS
from tests.edi_auth import forge
from tokens.core.errors import InvalidCredential, NotConfigured
from tokens.core.signing import sibling_keys

TEXTS = pytest.mark.parametrize("vector", VECTORS["pasta"], ids=["ldap", "google", "public"])
PROPERTY = hypothesis_settings(max_examples=200, deadline=None, database=None, derandomize=True)

plain = st.characters(exclude_categories=("Cs", "Cc"))
part = st.text(plain).filter(lambda text: "*" not in text)


@TEXTS
def test_verifies_the_tokens_of_other_implementations(vector):
    assert pasta.verify(vector["token"]).text == vector["text"]


@TEXTS
def test_signs_the_same_text_to_the_same_bytes_as_other_implementations(vector):
    assert pasta.sign(PastaToken.parse(vector["text"])) == vector["token"]


@pytest.mark.parametrize(
    ("number", "token"),
    [
        (0, PastaToken(forge.UID, forge.SYSTEM, 1558090703946, "vetted*authenticated")),
        (1, PastaToken("fieldnotes@example.org", forge.SYSTEM, 4102444800000, "authenticated")),
        (2, PastaToken("public", forge.SYSTEM, 4102444800000)),
    ],
    ids=["ldap", "google", "public"],
)
def test_reads_the_parts_of_a_text(number, token):
    vector = VECTORS["pasta"][number]
    assert PastaToken.parse(vector["text"]) == token
    assert token.text == vector["text"]


@PROPERTY
@given(uid=part.filter(bool), system=part, ttl=st.integers(0, 10**15 - 1), groups=st.text(plain))
@example(uid="u", system="", ttl=0, groups="*")
@example(uid=" ", system=" ", ttl=10**15 - 1, groups="")
@example(uid="žluť", system="木", ttl=1, groups="a*b**c")
def test_reads_back_whatever_it_writes(uid, system, ttl, groups):
    token = PastaToken(uid, system, ttl, groups)
    assert PastaToken.parse(token.text) == token


@PROPERTY
@given(text=st.text(alphabet="*0129 au\n\x00\x7f٣²é") | st.text())
@example(text="a*b*1*")
@example(text="a*b*01")
@example(text="a*b*1\n")
def test_takes_a_text_only_if_its_parts_give_it_back(text):
    try:
        token = PastaToken.parse(text)
    except InvalidCredential:
        return
    assert token.text == text
    assert token.uid
    assert text.isprintable() or not any(char < " " or char == "\x7f" for char in text)


@pytest.mark.parametrize(
    "text",
    ["", "*", "u", "u*s", "*s*1", "u*s*", "u*s*x", "u*s*-1", "u*s*01", "u*s*1*", "u*s*1234567890123456", "u\n*s*1"],
)
def test_refuses_a_text_that_is_none(text):
    with pytest.raises(InvalidCredential):
        PastaToken.parse(text)


def test_renews_the_ttl_alone():
    token = PastaToken("u", "s", 1, "a*b")
    assert token.renewed(2) == PastaToken("u", "s", 2, "a*b")
    assert token.ttl == 1


@PROPERTY
@given(
    raw=st.text()
    | st.text(alphabet="AQ=+/-\n é")
    | st.binary().map(lambda raw: base64.b64encode(raw).decode() + "-AAAA")
)
@example(raw="-")
@example(raw="")
@example(raw="AAAA-")
@example(raw="=-=")
@example(raw="\ud800-AAAA")
def test_raises_nothing_but_a_refusal_for_what_was_not_signed_here(raw):
    with pytest.raises(InvalidCredential):
        pasta.verify(raw)


def test_names_no_part_of_a_token_that_it_refuses():
    forged = forge.pasta(key=forge.other_pasta_key())
    with pytest.raises(InvalidCredential) as refusal:
        pasta.verify(forged)
    assert forge.UID not in str(refusal.value)
    assert forged[:20] not in str(refusal.value)


def test_verifies_a_token_as_long_as_a_text_can_be():
    text = f"{'u' * 255}*{forge.SYSTEM}*1*{'g' * 3000}"
    assert pasta.verify(forge.pasta(text)).text == text


def test_looks_at_no_token_that_is_too_long():
    token = pasta.sign(PastaToken("x" * pasta.MAX_LENGTH, forge.SYSTEM, 1))
    with pytest.raises(InvalidCredential, match="malformed"):
        pasta.verify(token)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [("x" * 40 + "-x", True), ("x" * 40 + "-", True), ("x" * 39 + "-x", False), ("x" * 99, False), ("", False)],
    ids=lambda raw: str(raw)[-9:],
)
def test_tells_by_its_shape_what_can_be_one(raw, expected):
    assert pasta.looks_like(raw) is expected


@pytest.fixture
def folder(tmp_path, settings):
    """An empty folder for keys of other makes."""
    settings.PASTA_PRIVATE_KEY_PATH = tmp_path / "pasta.pem"
    return tmp_path


def test_says_which_setting_names_no_key(folder):
    with pytest.raises(NotConfigured, match="PASTA_PRIVATE_KEY_PATH"):
        pasta.sign(PastaToken("u", "s", 1))


def test_takes_no_key_of_another_sort(folder):
    (folder / "pasta.pem").write_bytes(forge.private_pem(forge.EDI_KEY))
    with pytest.raises(NotConfigured, match="RSA"):
        pasta.keys()


def test_takes_no_retired_key_of_another_sort(folder):
    (folder / "pasta.pem").write_bytes(forge.private_pem(forge.PASTA_KEY))
    (folder / "pasta.old.pem").write_bytes(forge.private_pem(forge.EDI_KEY))
    with pytest.raises(NotConfigured, match="RSA"):
        pasta.keys()


def test_signs_with_the_active_key_and_verifies_with_the_retired_one(folder):
    (folder / "pasta.pem").write_bytes(forge.private_pem(forge.PASTA_KEY))
    (folder / "pasta.old.pem").write_bytes(forge.private_pem(forge.other_pasta_key()))
    assert pasta.verify(forge.pasta("u*s*1", key=forge.other_pasta_key())).uid == "u"
    assert forge.read_pasta(pasta.sign(PastaToken("u", "s", 1))) == ["u", "s", "1"]


def test_reads_keys_again_when_one_gets_another_name_meanwhile(folder, monkeypatch):
    active, upcoming = folder / "pasta.pem", folder / "pasta.next.pem"
    active.write_bytes(forge.private_pem(forge.PASTA_KEY))
    upcoming.write_bytes(forge.private_pem(forge.other_pasta_key()))

    def found(path):
        names = sibling_keys(path)
        if upcoming.exists():
            upcoming.replace(path)
        return names

    monkeypatch.setattr(pasta, "sibling_keys", found)
    assert pasta.verify(forge.pasta("u*s*1", key=forge.other_pasta_key())).uid == "u"


def test_shows_no_key_in_a_repr():
    assert "BEGIN" not in repr(pasta.keys())
    assert str(forge.PASTA_KEY.private_numbers().p) not in repr(pasta.keys())

"""`manage.py generate_keys`."""

import stat

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key


@pytest.fixture
def paths(settings, tmp_path, umask):
    """Where the two keys belong, in a folder that does not exist."""
    settings.EDI_JWT_PRIVATE_KEY_PATH = tmp_path / "keys" / "edi.pem"
    settings.PASTA_PRIVATE_KEY_PATH = tmp_path / "keys" / "pasta.pem"
    return settings.EDI_JWT_PRIVATE_KEY_PATH, settings.PASTA_PRIVATE_KEY_PATH


def test_makes_a_key_of_the_right_sort_for_each_token(manage, paths):
    assert manage("generate_keys").code == 0
    edi, pasta = (load_pem_private_key(path.read_bytes(), password=None) for path in paths)
    assert isinstance(edi, ec.EllipticCurvePrivateKey)
    assert isinstance(edi.curve, ec.SECP256R1)
    assert isinstance(pasta, rsa.RSAPrivateKey)
    assert pasta.key_size == 2048


def test_lets_nobody_else_read_them(manage, paths):
    manage("generate_keys")
    assert [stat.S_IMODE(path.stat().st_mode) for path in paths] == [0o600, 0o600]
    assert stat.S_IMODE(paths[0].parent.stat().st_mode) == 0o700


def test_leaves_nothing_else_behind(manage, paths):
    manage("generate_keys")
    assert sorted(paths[0].parent.iterdir()) == sorted(paths)


def test_says_what_it_wrote(manage, paths):
    assert manage("generate_keys").out == "".join(f"Wrote {path}\n" for path in paths)


def test_prints_one_json_document(manage, paths):
    assert manage("generate_keys", "--json").document == {"files": [str(path) for path in paths]}


def test_overwrites_no_key(manage, paths):
    manage("generate_keys")
    before = [path.read_bytes() for path in paths]
    outcome = manage("generate_keys")
    assert (outcome.code, outcome.out) == (0, "Both key files are there already.\n")
    assert [path.read_bytes() for path in paths] == before


@pytest.mark.parametrize("present", [0, 1])
def test_makes_the_one_that_is_missing(manage, paths, present):
    paths[present].parent.mkdir()
    paths[present].write_text("a key from elsewhere")
    assert manage("generate_keys", "--json").document == {"files": [str(paths[1 - present])]}
    assert paths[present].read_text() == "a key from elsewhere"


def test_prints_no_key(manage, paths):
    outcome = manage("generate_keys")
    assert "PRIVATE KEY" in paths[0].read_text()
    assert "PRIVATE KEY" not in outcome.out + outcome.err


def test_says_in_a_sentence_that_it_cannot_write(manage, paths):
    paths[0].parent.write_text("a file where the folder belongs")
    outcome = manage("generate_keys")
    assert (outcome.code, outcome.out) == (1, "")
    assert "CommandError: " in outcome.err

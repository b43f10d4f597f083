"""A genuine credential in any spelling but its own (RFC 4648, section 3.5): two spellings would defeat a block list."""

import base64

import pytest

from tests.attacks.doors import BEARER_DOORS
from tests.edi_auth.forge import edi, pasta
from tests.factories import (
    ApiKeyFactory,
    NamedTokenFactory,
    PerformanceTokenFactory,
    PublisherFactory,
    secret_of,
    value_of,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

SORT = "base64 variants of a genuine token"
URL_SAFE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
STANDARD = URL_SAFE.replace("-", "+").replace("_", "/")
BLANKS = [" ", "\t", "\n", "\r\n", "\x0b", "\u00a0", "\u200b", "\0"]


def next_letters(part, alphabet):
    """`part` with each other value of the bits that its last letter does not use."""
    bare = part.rstrip("=")
    unused = {2: 4, 3: 2}.get(len(bare) % 4, 0)
    place = alphabet.index(bare[-1])
    first = place >> unused << unused
    others = [alphabet[first + number] for number in range(2**unused) if first + number != place]
    return [bare[:-1] + letter + part[len(bare) :] for letter in others]


def replaced(token, separator, place, part):
    parts = token.split(separator)
    return separator.join([*parts[:place], part, *parts[place + 1 :]])


def respelt(token, separator, alphabet):
    """Other spellings of a signed token: padding, unused bits, the other alphabet, blanks, separators."""
    parts = token.split(separator)
    for place, part in enumerate(parts):
        yield from (replaced(token, separator, place, part + pad) for pad in ("=", "==", "===", "%3D"))
        yield from (replaced(token, separator, place, other) for other in next_letters(part, alphabet))
        for blank in BLANKS:
            yield from (replaced(token, separator, place, part[:at] + blank + part[at:]) for at in (0, 4, len(part)))
        yield replaced(token, separator, place, part[:4] + "!" + part[4:])
        yield replaced(token, separator, place, part.rstrip("=") + "A")
        yield replaced(token, separator, place, part.rstrip("=")[:-1])
    yield from (token + end for end in (separator, ".", "-", "=", "%00", "\0", "#", "?"))
    yield separator + token
    yield token.swapcase()


def with_both_letters(make, letters):
    """A token of `make` that holds a letter of `letters`, whose spelling in the other alphabet differs."""
    return next(token for token in (make(number) for number in range(500)) if set(letters) & set(token))


@pytest.mark.parametrize("door", [*BEARER_DOORS, "introspect"])
def test_takes_a_named_token_in_its_own_spelling_alone(refuses, door):
    value = value_of(NamedTokenFactory())
    for spelling in respelt(value, ".", URL_SAFE):
        if door != "introspect" and spelling.strip(" ") == value:
            continue  # blanks around it are the header's, not the token's (RFC 9110, section 5.5)
        assert refuses(door, spelling), ascii(spelling)


def test_takes_a_performance_token_in_its_own_spelling_alone(refuses):
    for spelling in respelt(value_of(PerformanceTokenFactory()), ".", URL_SAFE):
        assert refuses("introspect", spelling), ascii(spelling)


@pytest.mark.parametrize("door", ["refresh-edi", "introspect"])
def test_takes_an_edi_token_in_its_own_spelling_alone(refuses, door):
    for spelling in respelt(edi(), ".", URL_SAFE):
        assert refuses(door, spelling), ascii(spelling)


@pytest.mark.parametrize("door", ["refresh-pasta", "introspect"])
def test_takes_a_pasta_token_in_its_own_spelling_alone(refuses, door):
    for spelling in respelt(pasta(), "-", STANDARD):
        assert refuses(door, spelling), ascii(spelling)


@pytest.mark.parametrize(
    ("door", "make", "letters"),
    [
        ("introspect", lambda _: value_of(NamedTokenFactory()), "-_"),
        ("refresh-edi", lambda _: edi(), "-_"),
        ("introspect", lambda _: edi(), "-_"),
        ("refresh-pasta", lambda number: pasta(f"u{number}*s*1"), "+/"),
    ],
)
def test_takes_no_signature_in_the_other_alphabet(refuses, door, make, letters):
    token = with_both_letters(make, letters)
    other = str.maketrans("-_+/", "+/-_")
    head, _, signature = token.rpartition("." if "." in token else "-")
    swapped = signature.translate(other) if letters == "-_" else signature.replace("+", "-").replace("/", "_")
    assert refuses(door, f"{head}{'.' if '.' in token else '-'}{swapped}")


@pytest.mark.parametrize("make", [ApiKeyFactory, PublisherFactory])
def test_takes_a_key_in_its_own_spelling_alone(refuses, make):
    door = {ApiKeyFactory: "exchange", PublisherFactory: "fetch"}[make]
    key = secret_of(make())
    ends = [] if door == "fetch" else [f"{key} ", f"{key}\n"]
    for spelling in (key + "=", key.upper(), key[:-1], key + "\0", base64.b64encode(key.encode()).decode(), *ends):
        assert refuses(door, spelling), ascii(spelling)


def test_takes_each_of_them_in_its_own(api, bearer):
    for token in (value_of(NamedTokenFactory()), value_of(PerformanceTokenFactory()), edi(), pasta()):
        assert api.call("POST", "/introspect", {"token": token}, bearer=bearer).json()["active"] is True

"""PASTA texts that two readers could split in two ways: more stars, line breaks, other numbers."""

import base64

import pytest

from tests.edi_auth.forge import HOURS_8, SECONDS, SYSTEM, UID, claims, edi, pasta, pasta_over, read_pasta
from tests.factories import ProfileFactory

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

SORT = "PASTA texts with stars, breaks, numbers"
TTL = (SECONDS + HOURS_8) * 1000
TEXTS = [
    "",
    "*",
    "**",
    "***",
    UID,
    f"{UID}*{SYSTEM}",
    f"{UID}*{SYSTEM}*",
    f"*{SYSTEM}*{TTL}*authenticated",
    f"{UID}**{TTL}*authenticated",
    f"{UID}*{SYSTEM}*{TTL}*",
    f"*{UID}*{SYSTEM}*{TTL}*authenticated",
    f"{UID}**{SYSTEM}*{TTL}*authenticated",
    f"{UID}*vetted*{SYSTEM}*{TTL}*authenticated",
    f"{UID}*{SYSTEM}*{SYSTEM}*{TTL}*authenticated",
    f"{UID}*{SYSTEM}/*{TTL}*authenticated",
    f"{UID}*{SYSTEM.upper()}*{TTL}*authenticated",
    f"{UID}*https://attacker.example*{TTL}*authenticated",
    *[
        f"{UID}*{SYSTEM}*{ttl}*authenticated"
        for ttl in ("", " ", "-1", "+1", "1.5", "1e12", "0x1", "01", "9" * 16, "9" * 400)
    ],
    *[f"{UID}*{SYSTEM}*{ttl}*authenticated" for ttl in (f" {TTL}", f"{TTL} ", f"{TTL}\n", "\u0661", "\uff11", "NaN")],
    *[f"{UID}{end}*{SYSTEM}*{TTL}*authenticated" for end in ("\n", "\r\n", "\0", "\t", "\x7f")],
    *[f"{UID}*{SYSTEM}{end}*{TTL}*authenticated" for end in ("\n", "\0", " ")],
    *[f"{UID}*{SYSTEM}*{TTL}*authenticated{end}" for end in ("\n", "\r\n", "\0", "\x1b")],
    f"{UID}*{SYSTEM}*{TTL}*authenticated\n{UID}*{SYSTEM}*{TTL}*vetted",
]


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: ascii(text)[-40:])
def test_refuses_a_text_that_is_not_the_one_it_reads(refuses, text):
    for door in ("refresh-pasta", "introspect"):
        assert refuses(door, pasta(text))


@pytest.mark.parametrize("text", [b"\xff", b"\xc0\xaf*s*1", UID.encode("utf-16"), b"\xef\xbb\xbf\xff" + UID.encode()])
def test_refuses_a_text_that_is_no_text(refuses, text):
    for door in ("refresh-pasta", "introspect"):
        assert refuses(door, pasta(text))


@pytest.mark.parametrize("groups", ["vetted*authenticated*admin", "admin", "*", "a*", "**", "vetted*", "*vetted"])
def test_gives_nobody_a_group_that_the_token_did_not_have(api, tried, groups):
    tried()
    token = pasta(f"{UID}*{SYSTEM}*{TTL}*{groups}")
    response = api.call("POST", "/auth/v1/token/refresh", {"pasta-token": token, "edi-token": edi()})
    if response.status_code == 200:
        assert "*".join(read_pasta(response.json()["pasta-token"])[3:]) == groups
    else:
        assert response.status_code == 401


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("star", ["\u2217", "\uff0a", "\u066d", "%2A", "\\", "&#42;", ""])
def test_takes_nothing_but_a_star_for_a_star(refuses, place, star):
    stars = ["*"] * 3
    stars[place] = star
    text = UID + stars[0] + SYSTEM + stars[1] + str(TTL) + stars[2] + "authenticated"
    assert refuses("refresh-pasta", pasta(text))


@pytest.mark.parametrize("change", ["uid", "ttl", "groups", "system"])
def test_refuses_a_genuine_signature_over_another_text(refuses, change):
    signature = pasta().partition("-")[2]
    parts = {"uid": "uid=other", "system": SYSTEM, "ttl": str(TTL), "groups": "vetted*authenticated"}
    parts |= {"uid": UID} if change != "uid" else {}
    parts[change] = {"uid": "uid=other", "ttl": str(TTL + 1), "groups": "authenticated", "system": "x"}[change]
    for door in ("refresh-pasta", "introspect"):
        assert refuses(door, f"{base64.b64encode('*'.join(parts.values()).encode()).decode()}-{signature}")


@pytest.mark.parametrize("uid", ["Public", "PUBLIC", "public ", " public", "authenticated", "vetted", "pub\u200blic"])
def test_takes_nobody_for_the_public(api, tried, uid):
    tried()
    token = pasta(f"{uid}*{SYSTEM}*{TTL}")
    response = api.call("POST", "/auth/v1/token/refresh", {"pasta-token": token, "edi-token": edi()})
    assert response.status_code == 403


@pytest.mark.parametrize(
    "uid", [UID.upper(), UID + " ", " " + UID, UID.replace("=", "\uff1d"), UID + "\u200b", UID[:-1]]
)
def test_takes_nobody_for_somebody_who_looks_alike(api, tried, uid):
    ProfileFactory(idp_uid=UID)
    tried()
    body = {"pasta-token": pasta(f"{uid}*{SYSTEM}*{TTL}*authenticated"), "edi-token": edi(claims())}
    assert api.call("POST", "/auth/v1/token/refresh", body).status_code == 403


def test_refuses_a_signature_over_the_text_in_place_of_its_base64(refuses):
    text = "*".join([UID, SYSTEM, str(TTL), "authenticated"])
    assert refuses("refresh-pasta", pasta_over(text))
    signature = pasta_over(text).partition("-")[2]
    assert refuses("refresh-pasta", f"{base64.b64encode(text.encode()).decode()}-{signature}")

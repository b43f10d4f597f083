"""Every place where a credential can be presented: how to present one there, and what a refusal looks like.

What is presented beside it, where something has to be, is genuine: a door that opens opens because of the input.
"""

from collections.abc import Callable
from typing import Any

from django.http import HttpResponse

from edi_auth.models import edi_id_of
from tests.client import APIClient
from tests.edi_auth import forge
from tests.factories import NamedTokenFactory, value_of
from tokens.models import NamedToken

Door = tuple[Callable[[APIClient, str], HttpResponse], Callable[[Any], bool]]
PROFILE = f"/auth/v1/token/{edi_id_of(forge.UID)}"


def _has(*statuses: int) -> Callable[[Any], bool]:
    return lambda response: response.status_code in statuses


def _list(api: APIClient, raw: str) -> HttpResponse:
    return api.call("GET", "/_/token", headers={"Authorization": f"Bearer {raw}"})


def _mint(api: APIClient, raw: str) -> HttpResponse:
    return api.call("POST", "/_/token", {"name": "mine"}, headers={"Authorization": f"Bearer {raw}"})


def _fetch(api: APIClient, raw: str) -> HttpResponse:
    return api.call("GET", "/token", headers={"X-PUB-KEY": raw})


def _exchange(api: APIClient, raw: str) -> HttpResponse:
    return api.call("POST", forge.KEY, {"key": raw})


def _refresh_edi(api: APIClient, raw: str) -> HttpResponse:
    return api.call("POST", forge.REFRESH, {"pasta-token": forge.pasta(), "edi-token": raw})


def _refresh_pasta(api: APIClient, raw: str) -> HttpResponse:
    return api.call("POST", forge.REFRESH, {"pasta-token": raw, "edi-token": forge.edi()})


def _create(api: APIClient, raw: str) -> HttpResponse:
    return api.call("POST", PROFILE, {"key": raw})


def _lock(api: APIClient, raw: str) -> HttpResponse:
    return api.call("DELETE", PROFILE, headers={"Cookie": f"edi-token={raw}"})


def _ask(api: APIClient, raw: str) -> HttpResponse:
    return api.call("POST", "/introspect", {"token": "x"}, headers={"Authorization": f"Bearer {raw}"})


def _introspect(api: APIClient, raw: str) -> HttpResponse:
    asker = NamedToken.objects.filter(name="asker").first() or NamedTokenFactory(name="asker", can_write=False)
    return api.call("POST", "/introspect", {"token": raw}, bearer=value_of(asker))


def _is_inactive(response: Any) -> bool:
    """200 with the one answer that says nothing, or 400 for what is no text at all (empty, NUL)."""
    return response.status_code == 400 or (response.status_code, response.json()) == (200, {"active": False})


DOORS: dict[str, Door] = {
    "list": (_list, _has(401)),
    "mint": (_mint, _has(401)),
    "fetch": (_fetch, _has(400)),
    "exchange": (_exchange, _has(400, 401)),
    "refresh-edi": (_refresh_edi, _has(400, 401)),
    "refresh-pasta": (_refresh_pasta, _has(400, 401)),
    "create": (_create, _has(400, 401)),
    "lock": (_lock, _has(401, 403)),
    "ask": (_ask, _has(401)),
    "introspect": (_introspect, _is_inactive),
}
# The doors that take a signed token of one kind.
BEARER_DOORS = ("list", "mint", "ask")
EDI_DOORS = ("refresh-edi", "lock")

"""`manage.py lock` and `manage.py end_tokens`."""

import pytest

from tests.commands.conftest import actor_of
from tests.edi_auth.forge import KEY, REFRESH
from tests.factories import ApiKeyFactory, GroupFactory, ProfileFactory, secret_of
from tokens.models import AuditEvent

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["profile", "group"])
def key(request):
    """An API key of a profile, or of a group."""
    return ApiKeyFactory(group=GroupFactory(name="Curators") if request.param == "group" else None)


def principal_of(key):
    return key.group or key.owner


def exchanged(api, key):
    return api.call("POST", KEY, {"key": secret_of(key)})


def refreshed(api, snapshot, pair):
    snapshot.renew()
    return api.call("POST", REFRESH, {name: pair[name] for name in ("pasta-token", "edi-token")}).status_code


def test_locks_and_unlocks(manage, api, snapshot, key):
    pair, principal = exchanged(api, key).json(), principal_of(key)
    outcome = manage("lock", principal.edi_id)
    assert (outcome.code, outcome.out) == (0, f"Locked the {principal.kind} {principal}.\n")
    assert (exchanged(api, key).status_code, refreshed(api, snapshot, pair)) == (403, 403)
    assert manage("lock", principal.edi_id, "--undo").out == f"Unlocked the {principal.kind} {principal}.\n"
    assert (exchanged(api, key).status_code, refreshed(api, snapshot, pair)) == (200, 200)


def test_ends_all_tokens(manage, api, snapshot, clock, key):
    pair, principal = exchanged(api, key).json(), principal_of(key)
    clock.shift(60)
    outcome = manage("end_tokens", principal.edi_id)
    assert (outcome.code, outcome.out) == (0, f"Ended all tokens of the {principal.kind} {principal}.\n")
    assert refreshed(api, snapshot, pair) == 403
    clock.shift(60)
    assert refreshed(api, snapshot, exchanged(api, key).json()) == 200


def test_prints_one_json_document(manage, key):
    principal = principal_of(key)
    named = {"kind": principal.kind, "edi_id": principal.edi_id}
    assert manage("lock", principal.edi_id, "--json").document == named | {"locked": True}
    assert manage("lock", principal.edi_id, "--undo", "--json").document == named | {"locked": False}
    assert manage("end_tokens", principal.edi_id, "--json").document == named


@pytest.mark.parametrize(("command", "verb"), [("lock", "lock"), ("end_tokens", "end_tokens")])
def test_keeps_reason_and_user_in_the_audit_log(manage, operator, command, verb):
    manage(command, ProfileFactory().edi_id, "--reason", "laptop stolen")
    assert actor_of(f"edi_auth:profile:{verb}") == ("command", "command", "jane", "jane (manage.py)")
    assert AuditEvent.objects.get().reason == "laptop stolen"


def test_leaves_what_is_locked_as_it_is(manage):
    profile = ProfileFactory()
    manage("lock", profile.edi_id)
    profile.refresh_from_db()
    since = profile.locked_at
    outcome = manage("lock", profile.edi_id)
    assert (outcome.code, outcome.out) == (0, f"The profile {profile} is locked already.\n")
    profile.refresh_from_db()
    assert profile.locked_at == since
    assert AuditEvent.objects.count() == 1


@pytest.mark.parametrize("command", ["lock", "end_tokens"])
@pytest.mark.parametrize("edi_id", [f"EDI-{'0' * 40}", ""])
def test_refuses_an_unknown_edi_id(manage, command, edi_id):
    outcome = manage(command, edi_id)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.endswith(f"CommandError: There is no profile or group {edi_id}.\n")

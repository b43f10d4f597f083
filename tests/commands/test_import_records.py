"""`manage.py import_records`, and what `docs/moving.md` says of it."""

import json
import os
import re
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from edi_auth import services as edi_services
from edi_auth.models import ApiKey, Group, Profile, edi_id_of
from podcast_perf import services as podcast_services
from podcast_perf.models import Publisher
from tests.core.process import ROOT
from tests.factories import (
    ApiKeyFactory,
    GroupFactory,
    NamedTokenFactory,
    ProfileFactory,
    PublisherFactory,
    secret_of,
    value_of,
)
from tests.tokens.tools import everything_stored
from tokens import services
from tokens.core.models import digest
from tokens.core.signing import b64url
from tokens.models import AuditEvent, NamedToken

pytestmark = pytest.mark.django_db

MODELS = (NamedToken, Publisher, Profile, Group, ApiKey)
UID = "uid=jane,o=EDI,dc=edirepository,dc=org"
EDI_ID = edi_id_of(UID)
GROUP_ID = f"EDI-{'61' * 20}"
KEY = "R9arQwYMFqdgVVYt7jqcsxfyPyU"
SUBJECT = uuid.UUID(int=7)
MADE = datetime(2024, 2, 29, 12, tzinfo=UTC)


def named_token(**changes):
    """The line of a token that another server made with the secret that is ours now."""
    row = NamedTokenFactory.build(created_at=MADE, subject=SUBJECT)
    return {"kind": "named_token", "name": "ci", "token": value_of(row)} | changes


def publisher(**changes):
    return {"kind": "publisher", "name": "Feeds", "key": "the-x-pub-key-of-feeds"} | changes


def profile(**changes):
    return {"kind": "profile", "idp": "ldap", "idp_uid": UID, "name": "Jane Doe"} | changes


def group(**changes):
    return {"kind": "group", "edi_id": GROUP_ID, "name": "Curators", "members": [EDI_ID]} | changes


def api_key(**changes):
    return {"kind": "api_key", "owner": EDI_ID, "name": "laptop", "key": KEY} | changes


def counts():
    return [model.objects.count() for model in MODELS]


@pytest.fixture
def bring(manage, tmp_path):
    """Import lines, objects or bytes, from a file."""

    def bring(*lines, options=()):
        file = tmp_path / "records.jsonl"
        file.write_bytes(b"".join(one if isinstance(one, bytes) else json.dumps(one).encode() + b"\n" for one in lines))
        return manage("import_records", str(file), *options)

    return bring


def refused(outcome, reason, *, line=1):
    """Whether that line was refused, for that reason, and nothing else was said."""
    assert re.fullmatch(rf"line {line}(, \w+( '.*')?)?: {re.escape(reason)}\n", outcome.err), outcome.err
    assert outcome.code == 1
    return True


def test_imports_what_the_documentation_shows(bring, api):
    text = (ROOT / "docs" / "moving.md").read_text()
    lines = re.search(r"```json\n(.*?)```", text, re.DOTALL)[1].splitlines()
    value = named_token()["token"]
    outcome = bring(*(line.replace("eyJhbGciOiJIUzI1NiIs…", value).encode() + b"\n" for line in lines))
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == (
        "Imported 1 named token, 1 publisher, 2 profiles, 1 link, 1 group, 1 API key; 0 were here already, "
        "0 were refused.\n"
    )
    assert api.call("GET", "/_/token", bearer=value).status_code == 200
    assert api.call("GET", "/token", headers={"X-PUB-KEY": "the-x-pub-key-that-it-has"}).status_code == 200
    pair = api.call("POST", "/auth/v1/key", {"key": KEY}).json()
    claims = edi_services.ring().verify(pair["edi-token"])
    assert (claims["sub"], claims["cn"]) == (EDI_ID, "Jane Doe")
    assert claims["links"] == sorted([edi_id_of("108302931"), edi_id_of("jane@example.com")])
    assert "EDI-61cc5bd3c2bbeebc4b8ba9bfd0a2a6e0e1fd0d7c" in claims["principals"]


def test_takes_a_named_token_as_it_is(bring, api):
    line = named_token(write=False, active=False, expiration_date=1632960000000)
    assert bring(line).code == 0
    token = NamedToken.objects.get(name="ci")
    assert (token.can_write, token.is_active) == (False, False)
    assert token.expires_at == datetime(2021, 9, 30, tzinfo=UTC)
    assert services.find(line["token"]) == token
    assert line["token"] not in everything_stored()


def test_reads_the_value_back_as_another_spelling_of_the_same_token(bring, api):
    line = named_token()
    bring(line)
    [row] = api.call("GET", "/_/token/value?name=ci", bearer=line["token"]).json()["data"]
    assert services.find(row["token"]) == services.find(line["token"])
    assert api.call("GET", "/_/token", bearer=row["token"]).status_code == 200


def test_takes_a_publisher_as_it_is(bring, api):
    line = publisher(active=False, valid_from="2024-01-01T00:00:00+01:00", valid_to="2024-06-01 00:00:00")
    assert bring(line).code == 0
    row = Publisher.objects.get()
    assert (row.name, row.is_active, row.key_hash) == ("Feeds", False, digest(line["key"]))
    assert (row.starts_at, row.expires_at) == (datetime(2023, 12, 31, 23, tzinfo=UTC), datetime(2024, 6, 1, tzinfo=UTC))
    assert line["key"] not in everything_stored()


def test_takes_a_profile_as_it_is(bring):
    known = {"email": "jane@example.org", "is_email_enabled": True, "is_email_verified": True}
    assert bring(profile(edi_id=EDI_ID, **known)).code == 0
    row = Profile.objects.get()
    assert (row.edi_id, row.idp, row.idp_uid, row.common_name) == (EDI_ID, "ldap", UID, "Jane Doe")
    assert {name: getattr(row, name) for name in known} == known
    assert row.locked_at is None


def test_keeps_locked_what_was_locked(bring, api):
    owner = edi_id_of("jack")
    lines = [
        profile(locked=True),
        profile(idp_uid="jack", name="Jack"),
        group(locked=True),
        api_key(),
        api_key(name="curating", key="another-key", owner=owner, group=GROUP_ID),
    ]
    assert bring(*lines).code == 0
    for key in (KEY, "another-key"):
        assert api.call("POST", "/auth/v1/key", {"key": key}).status_code == 403
    events = AuditEvent.objects.filter(action__endswith=":lock")
    assert {event.reason for event in events} == {"as it was where it was imported from"}
    assert events.count() == 2


def test_links_each_with_all_others_and_keeps_the_links_there_are(bring):
    linked, *others = ProfileFactory.create_batch(4)
    linked.links.set(others[:1])
    line = {"kind": "link", "profiles": [one.edi_id for one in (linked, *others[1:])]}
    assert bring(line, line).out == "Imported 1 link; 1 was here already, 0 were refused.\n"
    assert set(linked.links.all()) == set(others)
    assert set(others[1].links.all()) == {linked, others[2]}
    assert set(others[0].links.all()) == {linked}


def test_keeps_the_edi_id_of_a_group(bring, api):
    bring(profile(), group(), api_key(group=GROUP_ID))
    pair = api.call("POST", "/auth/v1/key", {"key": KEY}).json()
    claims = edi_services.ring().verify(pair["edi-token"])
    assert (claims["sub"], claims["cn"]) == (GROUP_ID, "Curators")
    assert [member.edi_id for member in Group.objects.get().members.all()] == [EDI_ID]


@pytest.mark.parametrize("secret", [{"key": KEY}, {"key_hash": digest(KEY), "preview": "R9arQ"}], ids=list)
def test_takes_an_api_key_as_it_is(bring, api, secret):
    line = {"kind": "api_key", "owner": EDI_ID, "name": "laptop", **secret}
    assert bring(profile(), line | {"valid_from": "2024-01-01T00:00:00Z", "valid_to": None}).code == 0
    key = ApiKey.objects.get()
    assert (key.name, key.preview, key.is_active) == ("laptop", "R9arQ", True)
    assert (key.starts_at, key.expires_at) == (datetime(2024, 1, 1, tzinfo=UTC), None)
    assert api.call("POST", "/auth/v1/key", {"key": KEY}).status_code == 200
    assert KEY not in everything_stored()


def test_says_who_brought_it(bring, operator):
    bring(named_token())
    event = AuditEvent.objects.get(action="tokens:named_token:mint")
    assert (event.channel, event.actor_id) == ("command", operator)
    assert event.actor_label == "jane (manage.py import_records)"


def test_changes_nothing_when_it_is_run_again(bring):
    lines = [named_token(), publisher(), profile(), group(), api_key()]
    assert bring(*lines).code == 0
    before, events = everything_stored(), AuditEvent.objects.count()
    again = bring(*lines)
    assert again.out == "Imported nothing; 5 were here already, 0 were refused.\n"
    assert (again.code, everything_stored(), AuditEvent.objects.count()) == (0, before, events)


def test_revives_nothing_that_was_ended_here(bring, actor):
    token, feeds, key = NamedTokenFactory(created_at=MADE), PublisherFactory(), ApiKeyFactory()
    lines = [
        named_token(token=value_of(token)),
        publisher(key=secret_of(feeds)),
        api_key(owner=key.owner.edi_id, key=secret_of(key)),
    ]
    for row in (token, feeds, key):
        type(row).objects.filter(pk=row.pk).update(revoked_at=timezone.now())
    assert bring(*lines).out == "Imported nothing; 3 were here already, 0 were refused.\n"
    assert counts() == [1, 1, 1, 0, 1]


@pytest.mark.parametrize("grace", [timedelta(hours=1), timedelta(0)], ids=["grace", "none"])
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("is_ended", [False, True], ids=["used", "ended"])
def test_revives_nothing_that_was_rotated_here(bring, api, actor, grace, times, is_ended):
    """Whatever became of it since: its old secret may be the one that leaked."""
    lines = [named_token(), publisher(), profile(), api_key()]
    bring(*lines)
    token, feeds, key = NamedToken.objects.get(), Publisher.objects.get(), ApiKey.objects.get()
    for _ in range(times):
        services.rotate(token, actor=actor, grace=grace)
        podcast_services.rotate_publisher(feeds, actor=actor, grace=grace)
        edi_services.rotate_key(key, actor=actor, grace=grace)
    if is_ended:
        services.revoke("ci", actor=actor)
        podcast_services.revoke_publisher(feeds, actor=actor)
        edi_services.revoke_key(key, actor=actor)
    before = counts()
    others = [named_token(name="other"), publisher(name="other"), api_key(name="other")]
    bring(*lines, *others)
    assert counts() == before
    if is_ended or times == 2 or not grace:
        assert api.call("GET", "/_/token", bearer=lines[0]["token"]).status_code == 401
        assert api.call("GET", "/token", headers={"X-PUB-KEY": lines[1]["key"]}).status_code == 400
        assert api.call("POST", "/auth/v1/key", {"key": KEY}).status_code in {401, 403}


def test_refuses_what_is_here_and_not_as_its_line_says(bring):
    lines = [named_token(), publisher(), profile(), group(), api_key()]
    changed = [
        named_token(active=False, expiration_date=1632960000000),
        publisher(name="Feed", valid_to="2037-01-31T12:00:00Z"),
        profile(email="jane@example.org", locked=True),
        group(members=[], name="Editors"),
        api_key(name="desktop", active=False),
    ]
    assert bring(*lines, *lines).code == 0
    before = everything_stored()
    outcome = bring(*changed)
    assert (outcome.code, everything_stored()) == (1, before)
    assert [line.partition(": ")[2] for line in outcome.err.splitlines()] == [
        f"It is here, with another {names}; --update changes that."
        for names in ("expiration_date, active", "name, valid_to", "email, locked", "name, members", "name, active")
    ]


def test_changes_what_is_here_if_it_is_told_to(bring, api):
    jack = ProfileFactory()
    bring(named_token(), publisher(), profile(), group(), api_key())
    outcome = bring(
        named_token(active=False, write=False, expiration_date=1632960000000),
        publisher(name="Feed", active=False, valid_to="2037-01-31T12:00:00Z"),
        profile(name="Jane Roe", locked=True),
        group(members=[jack.edi_id, EDI_ID, EDI_ID], name="Editors", locked=True),
        api_key(name="desktop", valid_from="2037-01-31T12:00:00Z"),
        options=["--update"],
    )
    assert outcome.out == "Imported nothing; changed 5, 0 were here already, 0 were refused.\n"
    token, feeds, jane = NamedToken.objects.get(), Publisher.objects.get(), Profile.objects.get(idp_uid=UID)
    assert (token.is_active, token.can_write, token.expires_at) == (False, False, datetime(2021, 9, 30, tzinfo=UTC))
    assert (feeds.name, feeds.is_active, feeds.expires_at) == ("Feed", False, datetime(2037, 1, 31, 12, tzinfo=UTC))
    assert (jane.common_name, jane.locked_at is None) == ("Jane Roe", False)
    curators, key = Group.objects.get(), ApiKey.objects.get()
    assert (curators.name, curators.locked_at is None) == ("Editors", False)
    assert set(curators.members.all()) == {jane, jack}
    assert (key.name, key.starts_at, key.key_hash) == ("desktop", datetime(2037, 1, 31, 12, tzinfo=UTC), digest(KEY))
    unlocked = bring(profile(name="Jane Roe", locked=False), group(name="Editors", locked=False), options=["--update"])
    assert unlocked.code == 0
    assert not Profile.objects.exclude(locked_at=None).exists()
    assert not Group.objects.exclude(locked_at=None).exists()


def test_changes_nothing_that_was_revoked_here(bring, actor):
    bring(named_token())
    services.revoke("ci", actor=actor)
    before = everything_stored()
    outcome = bring(named_token(name="other", write=False), options=["--update"])
    assert outcome.out == "Imported nothing; 1 was here already, 0 were refused.\n"
    assert everything_stored() == before


@pytest.mark.parametrize("options", [(), ("--update",)], ids=["add", "update"])
@pytest.mark.parametrize(
    ("line", "names"),
    [
        (named_token(name="other"), "name"),
        (profile(idp="orcid"), "idp"),
        (api_key(owner=edi_id_of("jack"), group=GROUP_ID), "owner, group"),
    ],
    ids=["named_token", "profile", "api_key"],
)
def test_changes_nobody(bring, line, names, options):
    bring(named_token(), profile(), profile(idp_uid="jack"), group(), api_key())
    before = everything_stored()
    assert refused(bring(line, options=options), f"It is here, with another {names}.")
    assert everything_stored() == before


def test_takes_null_for_left_out(bring):
    nothing = dict.fromkeys(("email", "edi_id", "is_email_enabled", "locked"))
    without = dict.fromkeys(("key", "group", "active", "valid_from", "valid_to"))
    key = {"kind": "api_key", "owner": EDI_ID, "name": "laptop", "key_hash": digest(KEY).upper(), "preview": "R9arQ"}
    assert bring(profile(**nothing), group(members=None), key | without).code == 0
    assert counts() == [0, 0, 1, 1, 1]
    assert ApiKey.objects.get().key_hash == digest(KEY)


def test_passes_over_a_byte_order_mark(bring):
    assert bring(b"\xef\xbb\xbf" + json.dumps(profile()).encode() + b"\r\n", named_token()).code == 0


@pytest.mark.parametrize("line", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_says_that_there_is_nothing(bring, line):
    outcome = bring(line)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.endswith("CommandError: There is nothing to import.\n")


def test_refuses_for_a_publisher_the_key_in_the_settings(bring, settings):
    """Its row could be revoked, and the key would go on working."""
    settings.PERFORMANCE_PUBLIC_KEY = publisher()["key"]
    assert refused(bring(publisher()), "That key is the one in PERFORMANCE_PUBLIC_KEY.")


def test_tells_what_was_stored_when_it_is_interrupted(bring, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(podcast_services, "add_publisher", interrupt)
    outcome = bring(profile(), publisher(), named_token())
    assert outcome.code == 130
    assert outcome.out == "Imported 1 profile; 0 were here already, 0 were refused.\n"
    assert counts() == [0, 0, 1, 0, 0]


def test_stores_what_it_can(bring):
    outcome = bring(profile(idp="myspace"), profile(), b"\n", b"{\n", api_key(), named_token())
    assert outcome.code == 1
    assert outcome.err.splitlines() == [
        "line 1, profile 'Jane Doe': idp: must be ldap, google, orcid, github, microsoft.",
        "line 4: The line is not valid JSON in UTF-8; each line holds one whole object.",
    ]
    assert outcome.out == "Imported 1 profile, 1 API key, 1 named token; 0 were here already, 2 were refused.\n"
    assert counts() == [1, 0, 1, 0, 1]


def test_stores_nothing_of_a_line_that_is_refused_late(bring):
    ProfileFactory(idp_uid=UID, edi_id=EDI_ID)
    GroupFactory(name="Curators")
    assert refused(bring(group()), "There is a group named 'Curators' already.")
    strangers = group(name="Strangers", members=[EDI_ID, f"EDI-{'0' * 40}"])
    assert refused(bring(strangers), f"There is no profile EDI-{'0' * 40}.")
    assert counts() == [0, 0, 1, 1, 0]
    assert not AuditEvent.objects.exists()


def test_does_nothing_in_a_dry_run_but_say_what_it_would_do(bring):
    lines = [profile(), group(), api_key(), api_key(), named_token(name="")]
    outcome = bring(*lines, options=["--dry-run"])
    assert outcome.out == "Would have imported 1 profile, 1 group, 1 API key; 1 was here already, 1 was refused.\n"
    assert refused(outcome, "name: must not be empty.", line=5)
    assert counts() == [0, 0, 0, 0, 0]
    assert not AuditEvent.objects.exists()


def test_prints_one_json_document(bring):
    changed = profile(email="jane@example.org")
    outcome = bring(profile(), profile(), changed, api_key(key=""), options=["--json", "--update"])
    assert outcome.code == 1
    assert outcome.document == {
        "dry_run": False,
        "imported": {"profile": 1},
        "changed": 1,
        "present": 1,
        "refused": [{"line": 4, "kind": "api_key", "name": "laptop", "reason": "key: must not be empty."}],
    }


SIGNED_ELSEWHERE = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30." + b64url(b"\0" * 32)
TOKEN_WORDS = "token: must be signed with TOKENS_SECRET_KEY, and have a UUID as sub and 'token' as iss."
EDI_ID_WORDS = "must be EDI- and 40 lowercase hex digits, and not a system principal's."
KEY_WORDS = "key: give the key, or else its key_hash and preview."
ORDER_WORDS = "The key would end before it begins."
WHEN_WORDS = "must be a date and time such as 2027-01-31T12:00:00Z."


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ([], "The line is not a JSON object."),
        ({"name": "ci"}, "kind: must be one of api_key, group, link, named_token, profile, publisher."),
        ({"kind": ["profile"]}, "kind: must be one of api_key, group, link, named_token, profile, publisher."),
        ({"kind": "performance_token"}, "kind: must be one of api_key, group, link, named_token, profile, publisher."),
        ({"kind": "named_token", "name": "ci"}, "token: is required."),
        ({"kind": "named_token", "name": "ci", "token": ""}, "token: must not be empty."),
        ({"kind": "named_token", "name": "ci", "token": SIGNED_ELSEWHERE}, TOKEN_WORDS),
        ({"kind": "named_token", "name": "ci", "token": "x"}, TOKEN_WORDS),
        (publisher(key=""), "key: must not be empty."),
        (publisher(key=None), "key: is required."),
        (publisher(key=1), "key: must be a string."),
        (publisher(key=" key "), "key: must not begin or end with a blank; no header carries one."),
        (publisher(expires=1), "expires: is not a field of this call."),
        (publisher(valid_to=1), f"valid_to: {WHEN_WORDS}"),
        (publisher(valid_to="tomorrow"), f"valid_to: {WHEN_WORDS}"),
        (publisher(valid_to="0001-01-01T00:00:00+14:00"), "valid_to: lies outside the years 1 to 9999."),
        (publisher(valid_from="2025-01-02T00:00:00Z", valid_to="2025-01-01T00:00:00Z"), ORDER_WORDS),
        (publisher(active="no"), "active: must be true or false."),
        (profile(idp_uid="public"), "idp_uid: public is the name of a system principal."),
        (profile(idp_uid="a\0b"), "idp_uid: must not contain control characters."),
        (profile(edi_id=GROUP_ID), f"edi_id: that of this idp_uid is {EDI_ID}."),
        (profile(idp="google"), "A Google profile needs an e-mail address."),
        (profile(email="nobody"), "email: Enter a valid email address."),
        ({"kind": "link", "profiles": [EDI_ID, EDI_ID]}, f"There is no profile {EDI_ID}."),
        (group(edi_id="EDI-1"), f"edi_id: 'EDI-1' {EDI_ID_WORDS}"),
        (group(edi_id=edi_id_of("vetted"), members=[]), f"edi_id: {edi_id_of('vetted')!r} {EDI_ID_WORDS}"),
        (api_key(), f"There is no profile {EDI_ID}."),
        (api_key(key=SIGNED_ELSEWHERE), "key: must not be a signed token."),
        (publisher(key=SIGNED_ELSEWHERE), "key: must have at most 1024 characters, and not be a signed token."),
        (api_key(key_hash=digest(KEY), preview="R9arQ"), KEY_WORDS),
        ({"kind": "api_key", "owner": EDI_ID, "name": "laptop"}, KEY_WORDS),
        ({"kind": "api_key", "owner": EDI_ID, "name": "laptop", "key_hash": digest(KEY)}, KEY_WORDS),
        (
            {"kind": "api_key", "owner": EDI_ID, "name": "laptop", "key_hash": "R9arQ", "preview": "R9arQ"},
            "key_hash: must be the SHA-256 of the key in hex.",
        ),
    ],
    ids=lambda value: json.dumps(value)[:60],
)
def test_refuses(bring, line, reason):
    if isinstance(line, dict) and line.get("members") == [EDI_ID]:
        ProfileFactory(idp_uid=UID, edi_id=EDI_ID)
    before = counts()
    assert refused(bring(line), reason)
    assert counts() == before


def test_prints_nothing_that_a_terminal_would_obey(bring):
    assert refused(bring(group(members=["EDI-\u202e1"])), "There is no profile EDI-�1.")


def test_refuses_a_link_of_one_profile(bring):
    one = ProfileFactory()
    assert refused(bring({"kind": "link", "profiles": [one.edi_id] * 2}), "profiles: must name two profiles or more.")


def test_refuses_for_a_group_the_edi_id_of_a_profile_and_the_other_way_round(bring):
    ProfileFactory(idp_uid=UID, edi_id=EDI_ID)
    assert refused(bring(group(edi_id=EDI_ID, members=[])), f"{EDI_ID} is a profile.")
    bring(group(edi_id=edi_id_of("jack"), members=[]))
    assert refused(bring(profile(idp_uid="jack")), f"{edi_id_of('jack')} is a group.")


def test_refuses_a_value_that_an_old_secret_signed(bring, settings):
    """Old secrets go when no token that was made here needs them."""
    line = named_token()
    settings.TOKENS_SECRET_KEY_FALLBACKS = [settings.TOKENS_SECRET_KEY]
    settings.TOKENS_SECRET_KEY = "another-secret-of-more-than-32-characters"
    assert services.ring().verify(line["token"])
    assert refused(bring(line), TOKEN_WORDS)


def test_refuses_a_taken_name_and_leaves_the_token_as_it_is(bring):
    taken = NamedTokenFactory(name="ci")
    line = named_token()
    assert refused(bring(line), "There is a token named 'ci' already.")
    assert services.find(value_of(taken)) == taken
    assert services.find(line["token"]) is None


def test_quotes_no_secret(bring):
    secret = "a-secret-that-is-long-enough-to-be-found"
    lines = [
        {"kind": "named_token", "name": "ci", "token": secret},
        publisher(key=[secret]),
        publisher(key=secret, name=""),
        api_key(key_hash=secret, preview=secret),
        f'{{"kind": "publisher", "key": "{secret}\n'.encode(),
        {"kind": secret},
    ]
    for options in ((), ("--json",)):
        outcome = bring(*lines, options=options)
        assert secret not in outcome.out + outcome.err
        assert outcome.code == 1


def test_reads_no_more_of_a_line_than_a_mebibyte(bring):
    outcome = bring(b'{"kind": "' + b"x" * 3_000_000 + b'"}\n', profile(), b"x" * (2**20 + 1))
    assert outcome.err.splitlines() == [
        "line 1: The line is longer than 1 MiB.",
        "line 3: The line is longer than 1 MiB.",
    ]
    assert outcome.out.startswith("Imported 1 profile;")


@pytest.fixture
def standard_input():
    """Whatever is written to this file, the process reads from its standard input."""
    before = os.dup(0)
    reading, writing = os.pipe()
    os.dup2(reading, 0)
    os.close(reading)
    with os.fdopen(writing, "wb") as file:
        yield file
    os.dup2(before, 0)
    os.close(before)


def test_reads_standard_input(manage, standard_input):
    standard_input.write(json.dumps(profile()).encode())
    standard_input.close()
    assert manage("import_records", "-").out == "Imported 1 profile; 0 were here already, 0 were refused.\n"


def test_names_a_file_that_is_not_there(manage):
    outcome = manage("import_records", "/nowhere/records.jsonl")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.endswith("CommandError: /nowhere/records.jsonl: No such file or directory\n")


def test_keeps_what_was_stored_before_the_database_went_away(bring, monkeypatch):
    def go_away(*args, **kwargs):
        raise OperationalError("connection refused")

    monkeypatch.setattr(podcast_services, "add_publisher", go_away)
    outcome = bring(profile(), publisher(), named_token())
    assert outcome.code == 1
    assert outcome.err.endswith("CommandError: The database cannot be used: connection refused\n")
    assert outcome.out == "Imported 1 profile; 0 were here already, 0 were refused.\n"
    assert counts() == [0, 0, 1, 0, 0]

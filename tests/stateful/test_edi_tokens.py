"""`/auth/v1` and a model of it in plain Python agree, whatever is done in whatever order."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from edi_auth import services
from edi_auth.models import ApiKey
from tests.stateful.machine import ACTOR, START, Machine, graces, lifetimes, run


@dataclass
class Person:
    """What the model knows of one profile."""

    row: object
    locked: bool = False
    ended_at: datetime = START - timedelta(days=1)


@dataclass
class Key:
    """What the model knows of one API key."""

    row: object
    owner: Person
    secret: str
    starts_at: datetime | None
    expires_at: datetime | None
    active: bool = True
    revoked: bool = False
    uses: int = 0
    previous: dict[str, datetime] = field(default_factory=dict)

    def holds(self, secret, now):
        return secret == self.secret or (secret in self.previous and now < self.previous[secret])

    def status(self, now):
        """What an exchange answers."""
        if self.revoked or self.owner.locked or not self.active:
            return 403
        if (self.starts_at and now < self.starts_at) or (self.expires_at and now >= self.expires_at):
            return 401
        return 200


@dataclass
class Pair:
    """What the model knows of a pair of tokens."""

    body: dict[str, str]
    owner: Person
    issued_at: datetime
    expires_at: datetime


class EdiTokens(Machine):
    @initialize()
    def begin(self):
        self.people = [
            Person(services.add_profile(idp="orcid", idp_uid=f"person-{n}", actor=ACTOR, now=self.now))
            for n in range(2)
        ]
        self.keys: list[Key] = []
        self.secrets: list[str] = ["an-unknown-key"]
        self.pairs: list[Pair] = []

    @rule(data=st.data(), begins=st.sampled_from([None, timedelta(hours=-1), timedelta(hours=1)]), lifetime=lifetimes)
    def mint(self, data, begins, lifetime):
        owner = data.draw(st.sampled_from(self.people))
        starts_at = None if begins is None else self.now + begins
        expires_at = None if lifetime is None else self.now + lifetime
        if starts_at and expires_at and expires_at <= starts_at:
            return
        minted = services.mint_key(
            f"key {len(self.keys)}",
            owner=owner.row,
            actor=ACTOR,
            starts_at=starts_at,
            expires_at=expires_at,
            now=self.now,
        )
        self.keys.append(Key(minted.row, owner, minted.secret, starts_at, expires_at))
        self.secrets.append(minted.secret)

    @precondition(lambda self: self.keys)
    @rule(data=st.data(), active=st.booleans())
    def switch(self, data, active):
        key = data.draw(st.sampled_from(self.keys))
        services.update(key.row, actor=ACTOR, is_active=active, now=self.now)
        key.active = active

    @precondition(lambda self: any(not key.revoked for key in self.keys))
    @rule(data=st.data(), grace=graces)
    def rotate(self, data, grace):
        key = data.draw(st.sampled_from([key for key in self.keys if not key.revoked]))
        minted = services.rotate_key(key.row, actor=ACTOR, grace=grace, now=self.now)
        key.previous = {key.secret: self.now + grace} if grace else {}
        key.secret = minted.secret
        self.secrets.append(minted.secret)

    @precondition(lambda self: self.keys)
    @rule(data=st.data())
    def revoke(self, data):
        key = data.draw(st.sampled_from(self.keys))
        services.revoke_key(key.row, actor=ACTOR, now=self.now)
        key.revoked = True

    @rule(data=st.data(), locked=st.booleans())
    def lock(self, data, locked):
        person = data.draw(st.sampled_from(self.people))
        services.set_locked(person.row, locked, actor=ACTOR, now=self.now)
        person.locked = locked
        services.snapshot.renew()

    @rule(data=st.data())
    def end_tokens(self, data):
        person = data.draw(st.sampled_from(self.people))
        services.end_tokens(person.row, actor=ACTOR, now=self.now)
        person.ended_at = self.now
        services.snapshot.renew()
        self.move_to(self.now + timedelta(seconds=1))

    @rule(data=st.data())
    def exchange(self, data):
        secret = data.draw(st.sampled_from(self.secrets))
        answer = self.call("POST", "/auth/v1/key", {"key": secret})
        key = next((key for key in self.keys if key.holds(secret, self.now)), None)
        assert answer.status_code == (401 if key is None else key.status(self.now))
        if answer.status_code == 200:
            key.uses += 1
            body = {name: answer.json()[name] for name in ("pasta-token", "edi-token")}
            issued_at = self.now.replace(microsecond=0)
            self.pairs.append(Pair(body, key.owner, issued_at, issued_at + timedelta(hours=8)))
        if key is not None:
            assert ApiKey.objects.get(pk=key.row.pk).use_count == key.uses

    @precondition(lambda self: self.pairs)
    @rule(data=st.data())
    def refresh(self, data):
        pair = data.draw(st.sampled_from(self.pairs[-5:]))
        answer = self.call("POST", "/auth/v1/token/refresh", pair.body)
        if self.now >= pair.expires_at:
            assert answer.status_code == 401
        elif pair.owner.locked or pair.issued_at < pair.owner.ended_at:
            assert answer.status_code == 403
        else:
            assert answer.status_code == 200
            body = {name: answer.json()[name] for name in ("pasta-token", "edi-token")}
            # A renewed token is as old as the revocations that were known when it was made.
            known_until = datetime.fromtimestamp(int(services.snapshot.known_until), tz=START.tzinfo)
            issued_at = max(pair.issued_at, min(self.now.replace(microsecond=0), known_until))
            expires_at = self.now.replace(microsecond=0) + timedelta(hours=8)
            self.pairs.append(Pair(body, pair.owner, issued_at, expires_at))

    @precondition(lambda self: len({id(pair.owner) for pair in self.pairs}) > 1)
    @rule()
    def mix(self):
        """One person's PASTA token renews nobody else's EDI token."""
        first = self.pairs[-1]
        other = next(pair for pair in self.pairs if pair.owner is not first.owner)
        body = {"edi-token": first.body["edi-token"], "pasta-token": other.body["pasta-token"]}
        answer = self.call("POST", "/auth/v1/token/refresh", body)
        assert answer.status_code == (401 if self.now >= first.expires_at else 403)


@pytest.mark.django_db
def test_agrees_with_its_model():
    run(EdiTokens)

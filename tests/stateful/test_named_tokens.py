"""`/_/token` and a model of it in plain Python agree, whatever is done in whatever order."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from tests.stateful.machine import START, Machine, graces, lifetimes, run
from tokens import services
from tokens.core.audit import SYSTEM
from tokens.core.models import AuditEvent

names = st.sampled_from(["ci", "cd", "a name with blanks", "ünïcode"])


def ms(moment: datetime) -> int:
    return (moment - datetime.fromtimestamp(0, tz=START.tzinfo)) // timedelta(milliseconds=1)


@dataclass
class Token:
    """What the model knows of one token."""

    name: str
    value: str
    updated_at: datetime
    expires_at: datetime | None = None
    active: bool = True
    write: bool = True
    revoked: bool = False
    previous: str = ""
    previous_until: datetime = START

    def state(self, now: datetime) -> str:
        if self.revoked:
            return "revoked"
        if not self.active:
            return "inactive"
        return "expired" if self.expires_at is not None and now >= self.expires_at else "active"

    def takes(self, value: str, now: datetime) -> bool:
        is_its_own = value == self.value or (value == self.previous and now < self.previous_until)
        return is_its_own and self.state(now) == "active"


class NamedTokens(Machine):
    @initialize()
    def begin(self):
        self.bearer = services.mint("bearer", actor=SYSTEM, now=self.now).secret
        self.tokens: list[Token] = []
        self.values: list[str] = []
        self.changes = AuditEvent.objects.count()

    def living(self, name):
        return next((token for token in self.tokens if token.name == name and not token.revoked), None)

    def audited(self, number):
        """The audit log has grown by so many."""
        self.changes += number
        assert AuditEvent.objects.count() == self.changes

    def ask(self, method, body, path="/_/token"):
        return self.call(method, path, body, bearer=self.bearer)

    @rule(name=names, lifetime=lifetimes, active=st.booleans(), write=st.booleans())
    def create(self, name, lifetime, active, write):
        expires_at = None if lifetime is None else self.now + lifetime
        body = {"name": name, "active": active, "write": write}
        answer = self.ask("POST", body | ({} if expires_at is None else {"expiration_date": ms(expires_at)}))
        if self.living(name):
            assert answer.status_code == 409
            self.audited(0)
            return
        assert answer.status_code == 201
        value = answer.json()["data"][0]["token"]
        assert value not in self.values
        self.tokens.append(Token(name, value, self.now, expires_at, active, write))
        self.values.append(value)
        self.audited(1)

    @rule(
        name=names,
        changes=st.fixed_dictionaries(
            {}, optional={"active": st.booleans(), "write": st.booleans(), "lifetime": lifetimes}
        ),
    )
    def update(self, name, changes):
        body = {"name": name} | {key: changes[key] for key in ("active", "write") if key in changes}
        token = self.living(name)
        expires_at = token.expires_at if token else None
        if "lifetime" in changes:
            expires_at = None if changes["lifetime"] is None else self.now + changes["lifetime"]
            body["expiration_date"] = None if expires_at is None else ms(expires_at)
            # What the API shows for a token that does not expire, sent back, changes nothing.
            if token and token.expires_at is None and expires_at == token.updated_at:
                expires_at = None
        answer = self.ask("PUT", body)
        if token is None:
            assert answer.status_code == 404
            self.audited(0)
            return
        assert answer.status_code == 200
        before = (token.expires_at, token.active, token.write)
        token.expires_at = expires_at
        token.active, token.write = body.get("active", token.active), body.get("write", token.write)
        is_changed = before != (token.expires_at, token.active, token.write)
        token.updated_at = self.now if is_changed else token.updated_at
        self.audited(int(is_changed))

    @rule(name=names, grace=graces)
    def rotate(self, name, grace):
        body = {"name": name, "grace": grace // timedelta(milliseconds=1)}
        answer = self.ask("POST", body, path="/_/token/rotate")
        token = self.living(name)
        if token is None:
            assert answer.status_code == 404
            return
        assert answer.status_code == 200
        token.previous, token.previous_until = (token.value, self.now + grace) if grace else ("", self.now)
        token.value = answer.json()["data"][0]["token"]
        token.updated_at = self.now
        assert token.value not in self.values
        self.values.append(token.value)
        self.audited(1)

    @rule(name=names)
    def revoke(self, name):
        answer = self.ask("DELETE", {"name": name})
        token = self.living(name)
        assert answer.status_code == (200 if token else 404)
        if token:
            token.revoked = True
        self.audited(int(token is not None))

    @rule()
    def list_all(self):
        answer = self.ask("GET", None)
        shown = [(row["name"], row["active"], row["write"], row["state"]) for row in answer.json()["data"][1:]]
        living = [token for token in self.tokens if not token.revoked]
        assert shown == [(token.name, token.active, token.write, token.state(self.now)) for token in living]
        dates = [row["expiration_date"] for row in answer.json()["data"][1:]]
        assert dates == [ms(token.expires_at or token.updated_at) for token in living]

    @rule(name=names)
    def read_value(self, name):
        answer = self.api.get("/_/token/value", {"name": name}, headers={"Authorization": f"Bearer {self.bearer}"})
        token = self.living(name)
        if token is None:
            assert answer.status_code == 404
        else:
            assert answer.json() == {"data": [{"token": token.value}]}
            self.audited(1)

    @precondition(lambda self: self.values)
    @rule(data=st.data())
    def introspect(self, data):
        value = data.draw(st.sampled_from(self.values))
        answer = self.ask("POST", {"token": value}, path="/introspect")
        assert answer.json()["active"] is any(token.takes(value, self.now) for token in self.tokens)

    @precondition(lambda self: self.values)
    @rule(data=st.data())
    def use_as_bearer(self, data):
        value = data.draw(st.sampled_from(self.values))
        token = next((token for token in self.tokens if token.takes(value, self.now)), None)
        assert self.call("GET", "/_/token", bearer=value).status_code == (200 if token else 401)
        refused = 401 if token is None else 404 if token.write else 403
        assert self.call("DELETE", "/_/token", {"name": "unknown"}, bearer=value).status_code == refused

    @precondition(lambda self: any(token.expires_at and token.expires_at > self.now for token in self.tokens))
    @rule(data=st.data(), is_before=st.booleans())
    def wait_for_an_expiry(self, data, is_before):
        ends = [token.expires_at for token in self.tokens if token.expires_at and token.expires_at > self.now]
        end = data.draw(st.sampled_from(ends))
        self.move_to(max(self.now, end - timedelta(milliseconds=1)) if is_before else end)


@pytest.mark.django_db
def test_agrees_with_its_model():
    run(NamedTokens)

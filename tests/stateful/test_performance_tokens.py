"""`GET /token` and a model of it in plain Python agree, whatever is done in whatever order."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from podcast_perf import services
from podcast_perf.models import PerformanceToken
from tests.stateful.machine import ACTOR, Machine, graces, lifetimes, run
from tokens import services as token_services
from tokens.core import kinds
from tokens.core.models import AuditEvent


@dataclass
class Publisher:
    """What the model knows of one publisher."""

    row: object
    key: str
    expires_at: datetime | None
    active: bool = True
    revoked: bool = False
    previous: dict[str, datetime] = field(default_factory=dict)

    def takes(self, key, now):
        is_its_own = key == self.key or (key in self.previous and now < self.previous[key])
        is_over = self.expires_at is not None and now >= self.expires_at
        return is_its_own and self.active and not self.revoked and not is_over


class PerformanceTokens(Machine):
    @initialize()
    def begin(self):
        self.bearer = token_services.mint("bearer", actor=ACTOR, now=self.now).secret
        self.publishers: list[Publisher] = []
        self.keys: list[str] = ["an-unknown-key"]
        self.minted: dict[str, datetime] = {}
        self.ended: set[str] = set()

    @rule(lifetime=lifetimes)
    def add(self, lifetime):
        expires_at = None if lifetime is None else self.now + lifetime
        name = f"publisher {len(self.publishers)}"
        row, key = services.add_publisher(name, actor=ACTOR, expires_at=expires_at, now=self.now)
        self.publishers.append(Publisher(row, key, expires_at))
        self.keys.append(key)

    @precondition(lambda self: self.publishers)
    @rule(data=st.data(), active=st.booleans())
    def switch(self, data, active):
        publisher = data.draw(st.sampled_from(self.publishers))
        services.update_publisher(publisher.row, actor=ACTOR, is_active=active, now=self.now)
        publisher.active = active

    @precondition(lambda self: self.publishers)
    @rule(data=st.data(), grace=graces)
    def rotate(self, data, grace):
        publisher = data.draw(st.sampled_from([p for p in self.publishers if not p.revoked] or self.publishers))
        if not publisher.revoked:
            _, key = services.rotate_publisher(publisher.row, actor=ACTOR, grace=grace, now=self.now)
            publisher.previous = {publisher.key: self.now + grace} if grace else {}
            publisher.key = key
            self.keys.append(key)

    @precondition(lambda self: self.publishers)
    @rule(data=st.data())
    def revoke_publisher(self, data):
        publisher = data.draw(st.sampled_from(self.publishers))
        kinds.get("publisher").revoke(publisher.row, actor=ACTOR, reason="")
        publisher.revoked = True

    @rule(data=st.data())
    def mint(self, data):
        key = data.draw(st.sampled_from(self.keys))
        before = PerformanceToken.objects.count(), AuditEvent.objects.count()
        answer = self.call("GET", "/token?expiresIn=5h", headers={"X-PUB-KEY": key})
        grown = PerformanceToken.objects.count() - before[0], AuditEvent.objects.count() - before[1]
        if any(publisher.takes(key, self.now) for publisher in self.publishers):
            assert (answer.status_code, grown) == (200, (1, 1))
            self.minted[answer.json()["token"]] = self.now + timedelta(hours=1)
        else:
            assert (answer.status_code, grown) == (400, (0, 0))
            assert answer.json()["error"] == "Invalid public key"

    @precondition(lambda self: self.minted)
    @rule(data=st.data())
    def revoke_token(self, data):
        token = data.draw(st.sampled_from(sorted(self.minted)))
        assert self.call("POST", "/revoke", {"token": token}).status_code == 200
        self.ended.add(token)

    @precondition(lambda self: self.minted)
    @rule(data=st.data())
    def introspect(self, data):
        token = data.draw(st.sampled_from(sorted(self.minted)))
        answer = self.call("POST", "/introspect", {"token": token}, bearer=self.bearer)
        assert answer.json()["active"] is (token not in self.ended and self.now < self.minted[token])


@pytest.mark.django_db
def test_agrees_with_its_model():
    run(PerformanceTokens)

"""The watch over secrets, which every test has: it finds one wherever somebody leaves it."""

import logging
import secrets
from types import SimpleNamespace

import pytest
from django.contrib.sessions.backends.db import SessionStore

from edi_auth import services as edi_services
from podcast_perf import services as podcast_services
from tests import conftest
from tests.factories import NamedTokenFactory, ProfileFactory
from tests.watch import watch
from tokens import operators, services
from tokens.core import audit
from tokens.models import AuditEvent, NamedToken, Operator

pytestmark = pytest.mark.django_db


def minted(actor):
    return services.mint("minted", actor=actor).secret


def an_audit_reason(secret, actor):
    row = NamedToken.objects.get(name="minted")
    audit.record(services.Action.READ_VALUE, row, actor=actor, reason=f"because of {secret}")


def an_audit_label(secret, actor):
    audit.record(services.Action.READ_VALUE, NamedTokenFactory(name=secret[-50:]), actor=actor)


def an_audit_difference(secret, actor):
    row = NamedToken.objects.get(name="minted")
    row.audit_fields = (*row.audit_fields, "leak")
    row.leak = {"deep": [secret]}
    audit.record(services.Action.UPDATE, row, actor=actor)


def a_name(secret, actor):
    NamedTokenFactory(name=f"x{secret[-60:]}x")


def a_json_field(secret, actor):
    NamedToken.objects.update(allowed_networks=[secret])


def a_session(secret, actor):
    session = SessionStore()
    session["message"] = secret
    session.save()


PLACES = (an_audit_reason, an_audit_label, an_audit_difference, a_name, a_json_field, a_session)


@pytest.mark.parametrize("leave", PLACES, ids=lambda leave: leave.__name__)
def test_finds_a_secret_in(leave, actor):
    secret = minted(actor)
    assert watch.kept() == []
    leave(secret, actor)
    assert watch.kept() == [secret[-40:]]
    watch.begin()


def test_finds_a_secret_in_the_log(actor):
    secret = minted(actor)
    assert watch.logged() == []
    logging.getLogger("tokens").warning("somebody used %s", secret)
    assert watch.logged() == [secret[-40:]]
    watch.lines.clear()


def test_fails_the_test_that_leaves_one(actor):
    a_json_field(minted(actor), actor)
    end_of_a_test = conftest.pytest_runtest_call(SimpleNamespace())
    next(end_of_a_test)
    with pytest.raises(AssertionError):
        end_of_a_test.send(None)
    watch.begin()


def made():
    actor = audit.SYSTEM
    profile = ProfileFactory()
    key = edi_services.mint_key("laptop", owner=profile, actor=actor)
    pair = edi_services.exchange(key.secret)
    operator = Operator.objects.create(username="jane")
    code = operators._fresh_codes(operator)[0]
    publisher = podcast_services.add_publisher("daily", actor=actor)
    return {
        "an API key": key.secret,
        "a rotated API key": edi_services.rotate_key(key.row, actor=actor).secret,
        "a publisher's key": publisher.secret,
        "a key that a publisher has": podcast_services.add_publisher("own", actor=actor, raw_key="k" * 20).secret,
        "a named token": services.mint("ci", actor=actor).secret,
        "a performance token": podcast_services.mint(actor=actor, holder=None).secret,
        "an EDI token": pair.edi,
        "a PASTA token": pair.pasta,
        "a recovery code": code,
        "a recovery code as it counts": code.replace("-", ""),
        "what a key is made of": secrets.token_urlsafe(20),
    }


def test_knows_every_secret_that_is_made():
    assert {name: secret for name, secret in made().items() if secret[-40:] not in watch.pieces()} == {}


def test_forgets_them_with_the_test():
    assert watch.made == set()


def test_reads_the_tables_that_were_written_alone(actor):
    minted(actor)
    assert watch.tables == {NamedToken._meta.db_table, AuditEvent._meta.db_table}


def test_lets_digests_and_previews_be(actor):
    key = edi_services.mint_key("laptop", owner=ProfileFactory(), actor=actor)
    assert key.row.preview == key.secret[:5]
    assert watch.kept() == []

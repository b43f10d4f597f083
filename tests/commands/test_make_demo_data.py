"""`manage.py make_demo_data`: rows to look at, and for each an audit event."""

import pytest

from edi_auth.models import ApiKey
from podcast_perf.models import PerformanceToken, Publisher
from tokens.core import demo
from tokens.core.models import DailyCount
from tokens.models import AuditEvent, NamedToken

pytestmark = pytest.mark.django_db

KINDS = pytest.mark.parametrize("model", [NamedToken, PerformanceToken, ApiKey])


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    """Three rows of each batch of eight are made, five are copies."""
    monkeypatch.setattr(demo, "LIVES", 3)
    monkeypatch.setattr(demo, "BATCH", 8)


def events_of(model):
    return AuditEvent.objects.filter(kind=model.kind)


@KINDS
def test_makes_as_many_rows_again_each_with_its_event(manage, model):
    for _ in range(2):
        assert manage("make_demo_data", "--rows", "20").code == 0
    rows = {(str(row.pk), str(row), row.created_at) for row in model.objects.all()}
    assert len(rows) == events_of(model).count() == 40
    assert set(events_of(model).values_list("object_id", "object_label", "at")) == rows


@KINDS
def test_tells_of_copies_what_their_texts_are(manage, model):
    manage("make_demo_data", "--rows", "20")
    for event in events_of(model):
        row = model.objects.get(pk=event.object_id)
        told = {"name", "serial", "preview"} & event.after.keys()
        assert told
        assert {name: event.after[name] for name in told} == {name: getattr(row, name) for name in told}


def test_gives_copies_secrets_of_their_own(manage):
    manage("make_demo_data", "--rows", "20")
    for model, field in ((NamedToken, "subject"), (ApiKey, "key_hash"), (Publisher, "key_hash")):
        assert len(set(model.objects.values_list(field, flat=True))) == model.objects.count()
    assert {len(key.key_hash) for key in ApiKey.objects.all()} == {64}


def test_keeps_what_was_made_when_it_is_interrupted(manage, monkeypatch):
    copied, interrupted = demo._copy, []

    def copy(*arguments):
        if NamedToken.objects.count() > 12:
            interrupted.append(True)
            raise KeyboardInterrupt
        copied(*arguments)

    monkeypatch.setattr(demo, "_copy", copy)
    outcome = manage("make_demo_data", "--rows", "20")
    assert interrupted
    assert (outcome.code, outcome.out) == (1, "")
    assert "Interrupted." in outcome.err
    assert NamedToken.objects.count() == events_of(NamedToken).count() == 8
    monkeypatch.setattr(demo, "_copy", copied)
    assert manage("make_demo_data", "--rows", "20").code == 0
    assert NamedToken.objects.count() == 28


def test_counts_what_it_made_for_the_overview(manage):
    DailyCount.objects.create(name="minted:named_token", day="2000-01-01", count=7, counted_at="2000-01-01T00:00Z")
    manage("make_demo_data", "--rows", "20")
    counted = DailyCount.objects.filter(name="stock:named_token:usable").get().count
    assert counted == NamedToken.objects.usable().count()
    assert not DailyCount.objects.filter(count=7).exists()


@pytest.mark.parametrize("rows", ["0", "-1", "10000001", "many"])
def test_refuses_a_number_that_makes_no_sense(manage, rows):
    assert manage("make_demo_data", "--rows", rows).code == 2
    assert not NamedToken.objects.exists()


def test_tells_a_program_in_json(manage):
    assert manage("make_demo_data", "--rows", "4", "--json").document == {"rows": 4}

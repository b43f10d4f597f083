"""Every page of the admin: it opens, it shows no secret, and it lets nobody in who did not sign in."""

import pytest
from django.apps import apps
from django.contrib import admin as django_admin
from django.urls import reverse

from tokens.core.models import State

pytestmark = pytest.mark.django_db

MODELS = {model._meta.label: model for model in django_admin.site._registry}
OURS = [label for label in MODELS if label.split(".")[0] in {"tokens", "podcast_perf", "edi_auth"}]
every_model = pytest.mark.parametrize("label", MODELS)
STATES = ["tokens.NamedToken", "podcast_perf.Publisher", "podcast_perf.PerformanceToken", "edi_auth.ApiKey"]


def url(label, page, *args):
    meta = MODELS[label]._meta
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_{page}", args=args)


def shown(response, secrets):
    """The secrets that a page shows."""
    page = response.content.decode()
    return [secret for secret in secrets if secret in page]


def test_knows_every_model_of_the_registry():
    ours = {
        model._meta.label
        for model in apps.get_models()
        if model._meta.app_label in {"tokens", "podcast_perf", "edi_auth"}
    }
    without_page = {"DailyCount", "OperatorPolicy", "RecoveryCodes", "RetiredSecret"}
    assert set(OURS) == ours - {f"tokens.{name}" for name in without_page}


def test_opens_the_index(admin, secrets_and_rows):
    secrets, _ = secrets_and_rows
    response = admin.get(reverse("admin:index"))
    assert response.status_code == 200
    assert shown(response, secrets) == []


@every_model
def test_lists_the_rows(admin, secrets_and_rows, label):
    secrets, _ = secrets_and_rows
    response = admin.get(url(label, "changelist"))
    assert response.status_code == 200
    assert shown(response, secrets) == []


@pytest.mark.parametrize("label", OURS)
def test_shows_a_row_in_its_list(admin, secrets_and_rows, label):
    _, rows = secrets_and_rows
    listed = admin.get(url(label, "changelist")).context["cl"].queryset
    assert rows[label] in listed


@every_model
def test_opens_a_row(admin, secrets_and_rows, label):
    secrets, rows = secrets_and_rows
    if label not in rows:
        pytest.skip(f"{label} belongs to a library, and no row of it is made here.")
    response = admin.get(url(label, "change", rows[label].pk))
    assert response.status_code == 200
    assert shown(response, secrets) == []


@every_model
def test_opens_the_history_of_a_row(admin, secrets_and_rows, label):
    secrets, rows = secrets_and_rows
    if label not in rows:
        pytest.skip(f"{label} belongs to a library, and no row of it is made here.")
    response = admin.get(url(label, "history", rows[label].pk), follow=True)
    assert response.status_code == 200
    assert shown(response, secrets) == []


@every_model
def test_opens_the_form_for_a_new_row_or_refuses_it(admin, operator, rf, label):
    request = rf.get("/")
    request.user = operator
    may_add = django_admin.site._registry[MODELS[label]].has_add_permission(request)
    assert admin.get(url(label, "add")).status_code == (200 if may_add else 403)


@pytest.mark.parametrize("label", ["tokens.AuditEvent", "axes.AccessLog"])
def test_adds_nothing_where_the_server_writes(admin, label):
    assert admin.get(url(label, "add")).status_code == 403
    assert admin.post(url(label, "add"), {}).status_code == 403


@pytest.mark.parametrize("label", OURS)
def test_searches_the_rows(admin, secrets_and_rows, label):
    response = admin.get(url(label, "changelist"), {"q": "nobody-is-called-that"})
    assert response.status_code == 200
    assert not response.context["cl"].queryset.exists()


@pytest.mark.parametrize("label", STATES)
@pytest.mark.parametrize("state", State)
def test_filters_the_rows_by_state(admin, secrets_and_rows, label, state):
    _, rows = secrets_and_rows
    found = admin.get(url(label, "changelist"), {"state": state}).context["cl"].queryset
    assert (rows[label] in found) is (state == State.ACTIVE)


@pytest.mark.parametrize("label", STATES)
def test_survives_a_filter_that_makes_no_sense(admin, secrets_and_rows, label):
    assert admin.get(url(label, "changelist"), {"state": "odd"}).status_code in {200, 302}


@pytest.mark.parametrize("label", OURS)
def test_deletes_nothing(admin, secrets_and_rows, label):
    _, rows = secrets_and_rows
    response = admin.post(url(label, "delete", rows[label].pk), {"post": "yes"})
    assert response.status_code == 403
    assert MODELS[label].objects.filter(pk=rows[label].pk).exists()


@pytest.mark.parametrize("label", OURS)
def test_offers_no_deletion_of_many(admin, secrets_and_rows, label):
    _, rows = secrets_and_rows
    action = {"action": "delete_selected", "_selected_action": [rows[label].pk], "post": "yes"}
    admin.post(url(label, "changelist"), action)
    assert MODELS[label].objects.filter(pk=rows[label].pk).exists()
    assert "delete_selected" not in admin.get(url(label, "changelist")).content.decode()


def test_changes_no_audit_event(admin, secrets_and_rows):
    _, rows = secrets_and_rows
    event = rows["tokens.AuditEvent"]
    response = admin.post(url("tokens.AuditEvent", "change", event.pk), {"reason": "rewritten"})
    event.refresh_from_db()
    assert response.status_code == 403
    assert event.reason == ""


@every_model
@pytest.mark.parametrize("page", ["changelist", "add"])
def test_sends_whoever_did_not_sign_in_to_the_sign_in(client, label, page):
    response = client.get(url(label, page))
    assert response.status_code == 302
    assert response["Location"].startswith(reverse("admin:login") + "?next=")


@pytest.mark.parametrize("label", OURS)
def test_changes_nothing_for_whoever_did_not_sign_in(client, secrets_and_rows, label):
    _, rows = secrets_and_rows
    before = MODELS[label].objects.values().get(pk=rows[label].pk)
    for page, arguments in (("change", [rows[label].pk]), ("delete", [rows[label].pk]), ("changelist", [])):
        response = client.post(
            url(label, page, *arguments),
            {"action": "revoke_selected", "_selected_action": [rows[label].pk], "post": "yes"},
        )
        assert response.status_code == 302
        assert response["Location"].startswith(reverse("admin:login"))
    assert MODELS[label].objects.values().get(pk=rows[label].pk) == before


@pytest.mark.parametrize("label", OURS)
def test_shows_nothing_to_an_operator_without_permission(client, django_user_model, secrets_and_rows, label):
    _, rows = secrets_and_rows
    client.force_login(django_user_model.objects.create_user("joe", is_staff=True))
    assert client.get(url(label, "changelist")).status_code == 403
    assert client.get(url(label, "change", rows[label].pk)).status_code == 403


def test_signs_an_operator_in(client, operator):
    response = client.post(
        reverse("admin:login"),
        {"username": "jane", "password": "correct horse battery staple"},
        REMOTE_ADDR="192.0.2.1",
    )
    assert response.status_code == 302
    assert client.get(reverse("admin:index")).status_code == 200


def test_locks_out_whoever_guesses(client, operator):
    guess = {"username": "jane", "password": "wrong"}
    for _ in range(5):
        client.post(reverse("admin:login"), guess, REMOTE_ADDR="192.0.2.1")
    right = {"username": "jane", "password": "correct horse battery staple"}
    response = client.post(reverse("admin:login"), right, REMOTE_ADDR="192.0.2.1")
    assert response.status_code == 429
    assert client.get(reverse("admin:index")).status_code == 302


def tried(client, password, address):
    """The status of a sign-in that a proxy passes on from `address`."""
    answers = {"username": "jane", "password": password}
    return client.post(reverse("admin:login"), answers, headers={"X-Forwarded-For": address}).status_code


def test_locks_out_the_address_that_guesses_behind_a_proxy_and_no_other(client, operator, settings):
    settings.TRUSTED_PROXIES = ["127.0.0.1"]
    assert [tried(client, "wrong", "198.51.100.1") for _ in range(5)][-1] == 429
    assert tried(client, "correct horse battery staple", "198.51.100.1") == 429
    assert tried(client, "correct horse battery staple", "203.0.113.5") == 302


def test_lets_nobody_guess_under_addresses_of_their_choice(client, operator):
    assert [tried(client, "wrong", f"198.51.100.{number}") for number in range(5)][-1] == 429
    assert tried(client, "correct horse battery staple", "203.0.113.5") == 429

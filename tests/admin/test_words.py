"""The words of the admin are the operators', not the framework's."""

import re

import pytest
from django.urls import reverse

from tokens.models import Operator

pytestmark = pytest.mark.django_db

FORMS = {
    "tokens_namedtoken": ("Mint a named token", "Mint"),
    "podcast_perf_publisher": ("Add a publisher", "Add"),
    "podcast_perf_performancetoken": ("Mint a performance token", "Mint"),
    "edi_auth_apikey": ("Mint an API key", "Mint"),
    "edi_auth_profile": ("Add a profile", "Add"),
    "edi_auth_group": ("Add a group", "Add"),
    "tokens_operator": ("Add an operator", "Add"),
}
JARGON = re.compile(
    r"Save and|>\s*Save\s*<|Select \S+ to (change|view)|site administration|Django|Change (named|API|publisher|profile)"
    r"|was (added|changed) successfully|You may edit it again|Add (named|api|publisher|profile|group|operator|user)\b"
)


def words(response):
    """What people read of a page."""
    return re.sub(r"<(script|style|template).*?</\1>", "", response.content.decode(), flags=re.DOTALL)


def submits(response):
    """The buttons that send the form."""
    row = re.search(r'id="submit-row".*', words(response), flags=re.DOTALL)
    return [
        " ".join(label.split()) for label in re.findall(r"<button[^>]*form=[^>]*>(.*?)</button>", row[0], re.DOTALL)
    ]


@pytest.mark.parametrize("name", FORMS)
def test_say_what_a_form_for_a_new_row_does(admin, name):
    title, button = FORMS[name]
    response = admin.get(reverse(f"admin:{name}_add"))
    assert response.context["title"] == title
    assert submits(response) == [button]


@pytest.mark.parametrize(
    "label", ["tokens.NamedToken", "podcast_perf.Publisher", "edi_auth.ApiKey", "edi_auth.Profile", "tokens.Operator"]
)
def test_say_what_a_form_for_a_stored_row_does(admin, secrets_and_rows, label):
    row = secrets_and_rows[1][label]
    assert submits(admin.get(reverse(f"admin:{label.lower().replace('.', '_')}_change", args=[row.pk]))) == [
        "Save changes"
    ]


def test_are_nobodys_jargon_on_any_page(admin, secrets_and_rows):
    found = {}
    for label, row in secrets_and_rows[1].items():
        name = label.lower().replace(".", "_")
        pages = [reverse(f"admin:{name}_changelist"), reverse(f"admin:{name}_change", args=[row.pk])]
        for url in (*pages, *([reverse(f"admin:{name}_add")] if name in FORMS else [])):
            found[url] = JARGON.findall(words(admin.get(url)))
    assert {url: seen for url, seen in found.items() if seen} == {}


def test_are_plain_when_an_operator_is_added_and_changed(admin):
    body = {"username": "joe", "password1": "staple battery horse", "password2": "staple battery horse"}
    added = admin.post(reverse("admin:tokens_operator_add"), {**body, "usable_password": "true"}, follow=True)
    assert "Added joe" in words(added)
    url = reverse("admin:tokens_operator_change", args=[Operator.objects.get(username="joe").pk])
    changed = admin.post(url, {"username": "joe", "is_active": "on"}, follow=True)
    assert "Saved joe" in words(changed)
    assert not JARGON.findall(words(added) + words(changed))


@pytest.mark.parametrize("label", ["tokens", "edi_auth", "podcast_perf", "axes"])
def test_leave_the_pages_of_apps_to_the_sidebar(admin, label):
    assert admin.get(f"/admin/{label}/")["Location"] == reverse("admin:index")


def test_say_plainly_that_nothing_was_found(admin):
    url = reverse("admin:tokens_namedtoken_changelist")
    assert "There are none yet" in words(admin.get(url))
    for query in ({"q": "nobody"}, {"state": "revoked"}):
        assert "Nothing here fits" in words(admin.get(url, query))
    assert not JARGON.findall(words(admin.get(url)))

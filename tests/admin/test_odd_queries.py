"""What an operator's browser can be made to send to the admin: no query, id or export makes it answer 500."""

from urllib.parse import quote

import pytest
from django.urls import reverse

from edi_auth.models import Profile
from tests.factories import ApiKeyFactory

NAMES = [
    "edi_auth_apikey",
    "edi_auth_group",
    "edi_auth_profile",
    "podcast_perf_performancetoken",
    "podcast_perf_publisher",
    "tokens_auditevent",
    "tokens_namedtoken",
    "tokens_notice",
]
HUGE = "9" * 23
QUERIES = [
    *("q=%00", "q=a%00b", f"q={'a' * 3000}", f"q={'a+' * 2000}", "q=%F0%9F%98%80"),
    *("o=x", "o=99", f"o=1.-2.{HUGE}", "p=x", "p=-1", "p=999", f"p={HUGE}", "all="),
    *("state=%00", "state=x", "expires=%00", "action=%00", "channel=%00", "since=%00", "idp__exact=%00"),
    *("about=%00:%00", "about=named_token:%00", f"about=named_token:{HUGE}", "about=:", "about=a:b@actor"),
    *("username__startswith=%00", f"groups__id__exact={HUGE}", "is_active__exact=%00", "is_active__exact=x"),
    *("id=abc", f"id={HUGE}", "id__in=x", "pk=%00", "nonsense=1", "name__startswith=a", "state=active&state=revoked"),
    *(f"{name}__id__exact={value}" for name in ("owner", "group", "publisher") for value in ("abc", HUGE, "%00", "-1")),
]


@pytest.fixture
def browser(admin, secrets_and_rows):
    """A browser to which every list has something to show, and to which a failure of the server is an answer."""
    ApiKeyFactory()
    admin.raise_request_exception = False
    return admin


@pytest.mark.parametrize("name", [*NAMES, "tokens_operator", "axes_accessattempt", "axes_accesslog"])
def test_lists_or_leads_to_the_list_whatever_is_asked(browser, name):
    url = reverse(f"admin:{name}_changelist")
    statuses = {query: browser.get(f"{url}?{query}").status_code for query in QUERIES}
    assert {query: status for query, status in statuses.items() if status not in {200, 302, 400}} == {}


@pytest.mark.parametrize("name", NAMES)
def test_exports_or_leads_to_the_list_whatever_is_asked(browser, name):
    url = reverse(f"admin:{name}_export", args=["csv"])
    statuses = {}
    for query in QUERIES:
        response = browser.get(f"{url}?{query}")
        statuses[query] = response.status_code
        if response.status_code == 200:
            b"".join(response.streaming_content)
        if response.status_code == 302:
            assert response["Location"] == reverse(f"admin:{name}_changelist") + "?e=1"
    assert {query: status for query, status in statuses.items() if status not in {200, 302, 400}} == {}


@pytest.mark.parametrize("id", ["abc", HUGE, "_00", "-1", "%F0%9F%98%80", "%2e%2e", "0x1"])
@pytest.mark.parametrize("name", NAMES)
def test_finds_no_row_under_an_odd_id(browser, name, id):
    url = reverse(f"admin:{name}_changelist")
    for page in ("change", "history"):
        assert browser.get(f"{url}{id}/{page}/").status_code in {302, 403, 404}


@pytest.mark.parametrize("ids", ["", "abc", HUGE, "%00", "-1", "1" * 18, "&id=".join("1" * 900)])
def test_asks_about_nothing_that_is_no_row(browser, ids):
    url = reverse("admin:tokens_namedtoken_verb", args=["revoke"])
    assert browser.get(f"{url}?id={ids}").status_code in {200, 302}


@pytest.mark.parametrize("term", ["%00", "a" * 3000, "%F0%9F%98%80", "%25"])
@pytest.mark.parametrize("page", ["1", "0", "x", HUGE])
def test_completes_nothing_odd(browser, term, page):
    query = f"app_label=edi_auth&model_name=apikey&field_name=owner&term={term}&page={page}"
    assert browser.get(f"{reverse('admin:autocomplete')}?{query}").status_code in {200, 403, 404}


@pytest.mark.parametrize("term", ["%00", "a" * 3000, "%F0%9F%98%80"])
@pytest.mark.parametrize(("number", "status"), [("1", 200), ("0", 404), ("x", 404), (HUGE, 404)])
def test_finds_pages_of_the_admin_or_none(browser, term, number, status):
    for query in (f"s={term}&page={number}", f"s={term}&page={number}&extended=1"):
        assert browser.get(f"{reverse('admin:search')}?{query}").status_code == status


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("edi_auth_apikey", "key_hash"),
        ("edi_auth_apikey", "previous_fingerprint"),
        ("podcast_perf_publisher", "key_hash"),
        ("tokens_namedtoken", "subject"),
        ("tokens_operator", "password"),
    ],
)
def test_tells_nobody_how_a_digest_begins(browser, name, column):
    url = reverse(f"admin:{name}_changelist")
    for lookup in (f"{column}__startswith", column, f"{column}__regex"):
        assert browser.get(f"{url}?{lookup}=a").status_code == 400


@pytest.mark.parametrize("selected", ["abc", HUGE, "\0", "-1"])
@pytest.mark.parametrize("name", NAMES)
def test_does_nothing_to_a_selection_of_what_is_no_row(browser, name, selected):
    url = reverse(f"admin:{name}_changelist")
    for action in ("export_csv", "revoke_selected", "delete_selected", ""):
        for across in ("0", "1"):
            asked = {"action": action, "_selected_action": [selected], "select_across": across}
            assert browser.post(url, asked).status_code in {200, 302, 400}


FIELDS = {
    "name": ["\0", "a\nb", "x" * 300],
    "owner": ["abc", HUGE, "\0", "-1"],
    "group": ["abc", HUGE, "\0"],
    "members": ["abc", HUGE, "\0"],
    "links": ["abc", HUGE],
    "idp": ["\0", "x"],
    "idp_uid": ["a*b", "\0", "public"],
    "email": ["\0", "x@"],
    "allowed_networks": ["x", "192.0.2.1/99", "\0", "," * 500, "192.0.2.1," * 5000],
    "expires_at_0": ["9999-12-31", "0001-01-01", "10000-01-01", "\0"],
    "starts_at_0": ["9999-12-31", "0001-01-01"],
    "hours": ["0", "-1", HUGE, "1e3", "\0"],
    "existing_key": ["\0"],
    "is_active": ["\0"],
}


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("name", [name for name in NAMES if name not in {"tokens_auditevent", "tokens_notice"}])
def test_takes_or_refuses_whatever_a_form_holds(browser, name, field):
    given = {"name": "odd", "owner": Profile.objects.earliest("pk").pk, "idp": "orcid", "idp_uid": "odd", "hours": "1"}
    for value in FIELDS[field]:
        odd = {**given, "expires_at_1": "23:59:59", "starts_at_1": "23:59:59", field: value}
        for query in ("", f"?{field}={quote(value[:100])}"):
            url = f"{reverse(f'admin:{name}_add')}{query}"
            assert {browser.get(url).status_code, browser.post(url, odd).status_code} <= {200, 302, 400}


@pytest.mark.parametrize("secret", ["\0", "Bearer \0", "x" * 60000, "a.b.c", "é.é.é", "a-" + "=" * 50, "A" * 44 + "-A"])
def test_finds_no_row_behind_an_odd_secret(browser, secret):
    assert browser.post(reverse("find_secret"), {"secret": secret}).status_code == 302

"""`manage.py add_profile`."""

import pytest

from edi_auth.models import Profile
from tests.commands.conftest import actor_of, line
from tests.conftest import VECTORS
from tests.factories import ProfileFactory

pytestmark = pytest.mark.django_db

UID = VECTORS["edi_id"]["idp_uid"]
EDI_ID = VECTORS["edi_id"]["edi_id"]
LDAP = ("add_profile", "--idp", "ldap", "--idp-uid", UID)


def test_prints_the_edi_id_of_the_identity(manage):
    assert manage(*LDAP).out == f"Added the profile {EDI_ID} for {UID}.\n"


def test_stores_what_is_known(manage):
    assert manage(*LDAP, "--name", "Jane Doe", "--email", "jane@example.org").code == 0
    profile = Profile.objects.get(edi_id=EDI_ID)
    assert (profile.idp, profile.idp_uid) == ("ldap", UID)
    assert (profile.common_name, profile.email) == ("Jane Doe", "jane@example.org")


def test_prints_one_json_document(manage):
    document = manage(*LDAP, "--name", "Jane Doe", "--json").document
    assert document == {"edi_id": EDI_ID, "idp": "ldap", "idp_uid": UID, "name": "Jane Doe", "email": ""}


def test_takes_the_identity_of_google_for_the_e_mail_address(manage):
    assert manage("add_profile", "--idp", "google", "--idp-uid", "jane@example.org").code == 0
    assert Profile.objects.get().uid == "jane@example.org"


def test_refuses_an_identity_that_has_a_profile(manage):
    ProfileFactory(idp_uid=UID, common_name="Jane Doe")
    outcome = manage(*LDAP, "--name", "Somebody Else")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.endswith(f"CommandError: {UID} has a profile already.\n")
    assert Profile.objects.get().common_name == "Jane Doe"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--idp", "ldap"],
        ["--idp-uid", "jane"],
        ["--idp", "myspace", "--idp-uid", "jane"],
        ["--idp", "ldap", "--idp-uid", ""],
        ["--idp", "ldap", "--idp-uid", "jane*vetted"],
        ["--idp", "ldap", "--idp-uid", "jane\n"],
        ["--idp", "ldap", "--idp-uid", "public"],
        ["--idp", "ldap", "--idp-uid", "x" * 256],
        ["--idp", "ldap", "--idp-uid", "jane", "--email", "not an address"],
        ["--idp", "ldap", "--idp-uid", "jane", "--name", "a\x07b"],
        ["--idp", "ldap", "--idp-uid", "jane", "--name", "Jane\n"],
        ["--idp", "google", "--idp-uid", "123456789"],
    ],
    ids=line,
)
def test_refuses_wrong_usage_and_stores_nothing(manage, arguments):
    outcome = manage("add_profile", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert not Profile.objects.exists()


def test_names_the_user_in_the_audit_log(manage, operator):
    manage(*LDAP)
    assert actor_of("edi_auth:profile:add") == ("command", "command", "jane", "jane (manage.py)")

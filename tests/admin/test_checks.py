"""An admin that lacks what it needs is found when the server starts, not when an operator needs it."""

from django.contrib.admin import site
from django.contrib.auth.models import User

from tokens.core.admin.registry import RegistryAdmin
from tokens.core.admin.verbs import REVOKE, ROTATE
from tokens.models import NamedToken


class Lacking(RegistryAdmin):
    """An admin that lists a verb and implements nothing."""

    verbs = (ROTATE, REVOKE)


def test_finds_before_any_request_what_an_admin_lacks():
    messages = Lacking(NamedToken, site).check()
    assert [(message.id, message.msg) for message in messages] == [
        ("tokens.E006", "It has no method add, which its form calls."),
        ("tokens.E006", "It has no method rotate, which the verb rotate calls."),
    ]


def test_lets_nobody_change_what_an_admin_has_no_way_to_change(rf):
    request = rf.get("/")
    request.user = User(is_active=True, is_superuser=True)
    assert site.get_model_admin(NamedToken).has_change_permission(request)
    assert not Lacking(NamedToken, site).has_change_permission(request)

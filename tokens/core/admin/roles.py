"""Who may do what in the admin: the three groups of operators, made by a migration of each app for its own models."""

from typing import Any

from django.apps import apps as current_apps
from django.contrib.auth.management import create_permissions

# What the members of a group may do with credentials and their owners, by the verb that begins a permission's codename.
ROLES: dict[str, frozenset[str]] = {
    "viewers": frozenset({"view"}),
    "issuers": frozenset({"view", "add", "change", "rotate", "extend", "switch"}),
    "security": frozenset({"view", "revoke", "switch", "lock", "end_tokens"}),
}
# The audit log shows what everybody did, from which address: for `security` alone.
AUDIT = "auditevent"


def make_groups(label: str, apps: Any = current_apps) -> None:
    """Make the groups that are missing, and let them do what `ROLES` says with the models of the app `label`."""
    create_permissions(current_apps.get_app_config(label), apps=apps, verbosity=0)
    group_model = apps.get_model("auth", "Group")
    permissions = apps.get_model("auth", "Permission").objects.filter(content_type__app_label=label)
    for name, verbs in ROLES.items():
        group, _ = group_model.objects.get_or_create(name=name)
        group.permissions.add(
            *(
                permission
                for permission in permissions
                if permission.codename.rpartition("_")[0] in verbs
                and (name == "security" or not permission.codename.endswith(AUDIT))
            )
        )

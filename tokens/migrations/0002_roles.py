"""Let the groups `viewers`, `issuers` and `security` do their part with the models of this app."""

from django.db import migrations

from tokens.core.admin.roles import make_groups


def make(apps, schema_editor):
    make_groups("tokens", apps)


class Migration(migrations.Migration):
    dependencies = [
        ("tokens", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(make, migrations.RunPython.noop)]

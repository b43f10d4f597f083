"""Take back the permissions to write notices, which nobody ever needed."""

from django.db import migrations

STALE = ("add_notice", "change_notice", "delete_notice")


def take_back(apps, schema_editor):
    permissions = apps.get_model("auth", "Permission").objects
    permissions.filter(content_type__app_label="tokens", codename__in=STALE).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("tokens", "0003_use_count"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="notice",
            options={"default_permissions": ("view",), "ordering": ["-id"]},
        ),
        migrations.RunPython(take_back, migrations.RunPython.noop),
    ]

"""Let the audit log be filtered by action, channel and actor in the order in which it is shown."""

from django.db import migrations, models

from tokens.core.postgresql.operations import AddIndexOnline


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("tokens", "0006_notice_failed")]

    operations = [
        AddIndexOnline("auditevent", models.Index(fields=["action", "at"], name="auditevent_by_action")),
        AddIndexOnline("auditevent", models.Index(fields=["channel", "at"], name="auditevent_by_channel")),
        AddIndexOnline(
            "auditevent",
            models.Index(fields=["actor_kind", "actor_id", "at"], name="auditevent_by_actor"),
        ),
    ]

"""Let the audit log be filtered by action, channel and actor in the order in which it is shown."""

from django.db import migrations, models

from tokens.core.migrating import AddIndexAside


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("tokens", "0002_roles")]

    operations = [
        AddIndexAside(
            model_name="auditevent", index=models.Index(fields=["action", "at"], name="auditevent_by_action")
        ),
        AddIndexAside(
            model_name="auditevent", index=models.Index(fields=["channel", "at"], name="auditevent_by_channel")
        ),
        AddIndexAside(
            model_name="auditevent",
            index=models.Index(fields=["actor_kind", "actor_id", "at"], name="auditevent_by_actor"),
        ),
    ]

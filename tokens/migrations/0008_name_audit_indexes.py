"""Know the two indexes that PostgreSQL has of the action as what they are, so that the next migration can drop them."""

from django.db import migrations, models

NAME = "tokens_auditevent_action_aba52096"


class Migration(migrations.Migration):
    dependencies = [("tokens", "0007_audit_indexes")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField("auditevent", "action", models.CharField(max_length=64)),
                migrations.AddIndex("auditevent", models.Index(fields=["action"], name=NAME)),
                migrations.AddIndex(
                    "auditevent",
                    models.Index(fields=["action"], opclasses=["varchar_pattern_ops"], name=f"{NAME}_like"),
                ),
            ]
        ),
    ]

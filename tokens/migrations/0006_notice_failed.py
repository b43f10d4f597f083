"""Find failed notices by an index."""

from django.db import migrations, models

from tokens.core.postgresql.operations import AddIndexOnline


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("tokens", "0005_recovery_codes"),
    ]

    operations = [
        AddIndexOnline(
            "notice",
            models.Index(
                condition=models.Q(("failure", ""), _negated=True), fields=["claimed_at"], name="notice_failed"
            ),
        ),
    ]

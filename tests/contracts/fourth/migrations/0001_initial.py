import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Badge",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "created_at",
                    models.DateTimeField(db_index=True, default=django.utils.timezone.now, editable=False),
                ),
                ("starts_at", models.DateTimeField(blank=True, null=True, verbose_name="valid from")),
                ("expires_at", models.DateTimeField(blank=True, db_index=True, null=True, verbose_name="valid to")),
                ("is_active", models.BooleanField(default=True, verbose_name="active")),
                ("revoked_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("last_used_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("number", models.CharField(max_length=32, unique=True)),
            ],
            options={
                "abstract": False,
                "indexes": [models.Index(fields=["revoked_at", "is_active", "expires_at"], name="badge_state")],
            },
        ),
    ]

"""Let profiles be filtered by identity provider, and API keys be sorted by name."""

from django.db import migrations, models

from tokens.core.postgresql.operations import AddIndexOnline


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("edi_auth", "0003_use_count")]

    operations = [
        AddIndexOnline("profile", models.Index(fields=["idp"], name="profile_idp")),
        AddIndexOnline("apikey", models.Index(fields=["name"], name="apikey_by_name")),
    ]

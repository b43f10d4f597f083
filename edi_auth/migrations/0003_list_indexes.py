"""Let profiles be filtered by identity provider, and API keys be sorted by name."""

from django.db import migrations, models

from tokens.core.migrating import AddIndexAside


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("edi_auth", "0002_roles")]

    operations = [
        AddIndexAside(model_name="profile", index=models.Index(fields=["idp"], name="profile_idp")),
        AddIndexAside(model_name="apikey", index=models.Index(fields=["name"], name="apikey_by_name")),
    ]

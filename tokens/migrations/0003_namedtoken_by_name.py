from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("tokens", "0002_roles"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="namedtoken",
            index=models.Index(fields=["name"], name="namedtoken_by_name"),
        ),
    ]

"""Drop the indexes of the audit log that longer ones replace; PostgreSQL had two of the action."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tokens", "0007_audit_indexes")]

    operations = [
        migrations.RemoveIndex(model_name="auditevent", name="auditevent_actor"),
        migrations.AlterField(model_name="auditevent", name="action", field=models.CharField(max_length=64)),
    ]

"""Drop the indexes of the audit log that longer ones replace."""

from django.db import migrations

from tokens.core.postgresql.operations import RemoveIndexOnline


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("tokens", "0008_name_audit_indexes")]

    operations = [
        RemoveIndexOnline("auditevent", "auditevent_actor"),
        RemoveIndexOnline("auditevent", "tokens_auditevent_action_aba52096"),
        RemoveIndexOnline("auditevent", "tokens_auditevent_action_aba52096_like"),
    ]

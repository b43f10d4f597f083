"""How operators' sessions are kept."""

from typing import Any

from django.contrib.sessions.backends import db
from django.utils import timezone

from tokens.core.models import digest

KEY_LENGTH = 40


class SessionStore(db.SessionStore):
    """Sessions in the database under a digest of their key: a dump of it, or a backup, signs nobody in."""

    def exists(self, session_key: str) -> bool:
        """Whether there is a session of that key, ended or not."""
        return super().exists(_stored(session_key))

    def delete(self, session_key: str | None = None) -> None:
        """End the session of that key, or this one."""
        key = session_key or self.session_key
        if key:
            super().delete(_stored(key))

    def create_model_instance(self, data: dict[str, Any]) -> Any:
        """The row that keeps this session."""
        row = super().create_model_instance(data)
        row.session_key = _stored(row.session_key)
        return row

    def _get_session_from_db(self) -> Any:
        row = self.model.objects.filter(
            session_key=_stored(str(self.session_key)), expire_date__gt=timezone.now()
        ).first()
        if row is None:
            self._session_key = None
        return row


def _stored(session_key: str) -> str:
    return digest(session_key)[:KEY_LENGTH]

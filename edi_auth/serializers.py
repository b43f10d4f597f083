"""What `/auth/v1` takes in. Fields that are not documented are passed over, as the API of the document does."""

from typing import Any

from rest_framework import serializers

from tokens.core.fields import StrictCharField


class KeyRequest(serializers.Serializer[Any]):
    """The body of `getTokenByKey`."""

    key = StrictCharField(allow_controls=True, help_text="The API key.")


class RefreshRequest(serializers.Serializer[Any]):
    """The body of `refreshToken`."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """The fields, whose documented names are no Python names."""
        return {
            "pasta-token": StrictCharField(allow_controls=True, help_text="The PASTA token; it may have expired."),
            "edi-token": StrictCharField(allow_controls=True, help_text="The EDI token; it must not have expired."),
        }

"""What the OAuth endpoints take in. Parameters they do not know are passed over (RFC 7662, section 2.1)."""

from typing import Any

from rest_framework import serializers

from tokens.core.fields import StrictCharField

# More than so many parameters are in no form that makes sense.
MAX_PARAMETERS = 32


class CredentialRequest(serializers.Serializer[Any]):
    """A credential, and what the caller believes it to be."""

    token = StrictCharField(allow_controls=True, help_text="The credential, of whatever kind.")
    token_type_hint = StrictCharField(required=False, allow_blank=True, help_text="The kind to try first.")

"""What tests see by other means than the code under test: JWS (RFC 7515) by hand, and all that the database holds."""

import base64
import hashlib
import hmac
import json
from typing import Any

from django.db import connection


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def encode_jws(header: dict[str, Any], claims: Any, *, secret: str, digest: str = "sha256") -> str:
    """`claims` (bytes as they are, anything else as JSON) signed with an HMAC, whatever the header says."""
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    signing_input = f"{_encode(json.dumps(header).encode())}.{_encode(payload)}"
    return f"{signing_input}.{_encode(hmac.digest(secret.encode(), signing_input.encode(), digest))}"


def decode_jws(value: str, *, secret: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims, in their order, of an HS256 token that `secret` signed."""
    header, payload, signature = value.split(".")
    expected = hmac.new(secret.encode(), f"{header}.{payload}".encode(), hashlib.sha256).digest()
    assert hmac.compare_digest(_decode(signature), expected)
    return json.loads(_decode(header)), json.loads(_decode(payload))


def everything_stored() -> str:
    """Every cell of every table."""
    with connection.cursor() as cursor:
        cells = []
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608 — the name of a table
            cells += [str(cell) for row in cursor.fetchall() for cell in row]
    return "\n".join(cells)

"""OAuth's standards for whoever receives a token: introspection (RFC 7662), revocation (RFC 7009), JWKs (RFC 7517)."""

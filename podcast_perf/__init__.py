"""`GET /token`: performance tokens for podcast hosts."""

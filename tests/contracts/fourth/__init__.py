"""A fourth issuer, as small as one can be: `GET /badge` gives out badges."""

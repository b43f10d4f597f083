"""Django's backend for PostgreSQL, made to fail fast while the server is away and to mend itself when it is back."""

"""How operators' passwords are kept."""

from django.contrib.auth.hashers import Argon2PasswordHasher


class Argon2(Argon2PasswordHasher):
    """Argon2id with the 19 MiB and two passes that OWASP recommends; Django's 100 MiB would fill a small host."""

    time_cost = 2
    memory_cost = 19 * 1024
    parallelism = 1

"""The shipped settings with secrets for tests and, unless `DATABASE_URL` is set, a database file of their own."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

DATA = Path(__file__).parent / "data"

# Of this process, and gone with it.
folder = Path(tempfile.mkdtemp(prefix="registry-tests-"))
atexit.register(shutil.rmtree, folder, ignore_errors=True)

os.environ |= {
    "ENV_FILE": "/dev/null",
    "SECRET_KEY": "a-secret-key-for-tests-that-is-long-enough-for-every-check-there-is",
    "PERFORMANCE_SECRET_KEY": "a-performance-secret-for-tests-of-32-bytes-or-more",
    "PERFORMANCE_PUBLIC_KEY": "the-public-key-of-the-settings",
    "TOKENS_SECRET_KEY": "a-tokens-secret-for-tests-of-32-bytes-or-more",
    "EDI_JWT_PRIVATE_KEY_PATH": str(DATA / "edi.pem"),
    "PASTA_PRIVATE_KEY_PATH": str(DATA / "pasta.pem"),
    "PASTA_TTL_ROUNDING_SECONDS": "0",
    "HTTPS_ONLY": "false",
    "MAX_FAILURES": "0",
    "MAX_UNAUTHENTICATED": "0",
}
os.environ.setdefault("DATABASE_URL", f"sqlite:///{folder}/unused.sqlite3")

from config.settings import *  # noqa: E402, F403 — the environment comes first
from config.settings import DATABASES  # noqa: E402 — the environment comes first

IS_SQLITE = DATABASES["default"]["ENGINE"].endswith("sqlite3")
if IS_SQLITE:
    # A file, because threads would lock a database in memory; `synchronous` off, because no test cuts the power.
    DATABASES["default"]["TEST"] = {"NAME": str(folder / "test.sqlite3")}
    DATABASES["default"]["OPTIONS"]["init_command"] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"
    DATABASES["default"]["OPTIONS"]["timeout"] = 20
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STATIC_ROOT = str(folder / "static")
(folder / "static").mkdir()

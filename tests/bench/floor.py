"""The baselines that need no server: the bare cryptography of a refresh, and one-row INSERTs.

`python -m tests.bench.floor crypto SECONDS` and `… insert SECONDS` print one JSON document; they run in the
registry's environment.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import django

from tests.bench.load import CONNECTIONS

# The pool has a connection for each thread of a worker; here each client is one.
os.environ["THREADS"] = str(CONNECTIONS)
django.setup()

from cryptography.hazmat.primitives import hashes  # noqa: E402 — after the set-up
from cryptography.hazmat.primitives.asymmetric import ec, padding  # noqa: E402 — after the set-up
from django.db import connection  # noqa: E402 — after the set-up

from edi_auth import pasta, services  # noqa: E402 — after the set-up

MESSAGE = b"m" * 400


def crypto(seconds: float) -> dict[str, float]:
    """Milliseconds of processor time for an ES256 verification and signature and an RSA verification and signature."""
    elliptic, rsa = services.ring().keys[0], pasta.keys().signing
    public = rsa.public_key()
    es256, pkcs1 = ec.ECDSA(hashes.SHA256()), padding.PKCS1v15()
    md5 = hashes.MD5()  # noqa: S303 — what PASTA tokens are signed with

    def one() -> None:
        elliptic.verifying.verify(edi, MESSAGE, es256)
        public.verify(legacy, MESSAGE, pkcs1, md5)
        elliptic.signing.sign(MESSAGE, es256)
        rsa.sign(MESSAGE, pkcs1, md5)

    edi, legacy = elliptic.signing.sign(MESSAGE, es256), rsa.sign(MESSAGE, pkcs1, md5)
    return _repeat(one, seconds)


def insert(seconds: float) -> dict[str, float]:
    """One-row INSERTs, each its own transaction, from as many connections as the server is driven with."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS bench_row (id integer, words varchar(100))")

    def client(_: int) -> int:
        end, done = time.monotonic() + seconds, 0
        with connection.cursor() as cursor:
            if connection.vendor == "sqlite":
                # Its writers do not queue, and one with bad luck for as long as a request may wait would end it all.
                cursor.execute("PRAGMA busy_timeout=30000")
            while time.monotonic() < end:
                cursor.execute("INSERT INTO bench_row VALUES (%s, %s)", [done, "w" * 80])
                done += 1
        connection.close()
        return done

    with ThreadPoolExecutor(CONNECTIONS) as clients:
        done = sum(clients.map(client, range(CONNECTIONS)))
    return {"rate": done / seconds, "cpu_ms": time.process_time() * 1000 / done}


def _repeat(one: Callable[[], None], seconds: float) -> dict[str, float]:
    begun, end, done = time.process_time(), time.monotonic() + seconds, 0
    while time.monotonic() < end:
        one()
        done += 1
    spent = time.process_time() - begun
    return {"rate": done / spent, "cpu_ms": spent * 1000 / done}


if __name__ == "__main__":
    json.dump({"crypto": crypto, "insert": insert}[sys.argv[1]](float(sys.argv[2])), sys.stdout)

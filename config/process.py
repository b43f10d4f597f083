"""What the processes of a server do at their start and at their end, whichever server it is.

`config/gunicorn.py` and `config/granian.py` call it.
"""

import ctypes
import os
import shutil
import signal
import sys
import tempfile

import django
from django.conf import settings
from django.core.management.base import BaseCommand, SystemCheckError

METRICS = "PROMETHEUS_MULTIPROC_DIR"
PR_SET_PDEATHSIG = 1  # prctl(2)

_made: list[str] = []


def name_metrics_folder() -> None:
    """Name the folder where all processes write what they count, a new one unless the operator has named one.

    It must be named before prometheus_client is imported.
    """
    if not os.environ.get(METRICS):
        os.environ[METRICS] = tempfile.mkdtemp(prefix="registry-metrics-")
        _made.append(os.environ[METRICS])


def remove_metrics_folder() -> None:
    """Leave no counters behind, but in a folder that the operator named."""
    for folder in _made:
        shutil.rmtree(folder, ignore_errors=True)


def check() -> None:
    """Load the project and end with what `manage.py check` says when it finds an error, or with what is no key file.

    For the first process. Counters must have their folder before. A key file may be missing, for a server whose
    /auth/v1 is not used; commands, which may be what mends it, do not mind one that holds something else.
    """
    django.setup(set_prefix=False)
    from edi_auth import pasta, services  # noqa: PLC0415 — models are not loaded earlier
    from tokens.core.errors import NotConfigured  # noqa: PLC0415 — likewise

    key_files = (settings.EDI_JWT_PRIVATE_KEY_PATH, services.ring), (settings.PASTA_PRIVATE_KEY_PATH, pasta.keys)
    try:
        BaseCommand().check()
        for path, keys in key_files:
            if path.is_file():
                keys()
    except SystemCheckError as exc:
        sys.exit(str(exc).strip())
    except NotConfigured as exc:
        sys.stderr.write(f"Configuration error: {exc}\n")
        sys.exit(2)


def begin() -> None:
    """Let no request wait for a silent database, open and read what requests need, start the threads.

    For a worker that will not fork. Where the kernel can (Linux), end in order when the first process is killed. By
    itself a worker would serve those who are connected for half a minute more, and hold the port that the next server
    needs.
    """
    from edi_auth import revocations  # noqa: PLC0415 — not before the application is loaded
    from tokens.core.operations import counters, metrics, traces  # noqa: PLC0415 — not before the application is loaded
    from tokens.core.postgresql import patience  # noqa: PLC0415 — not before the application is loaded

    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    patience.limit()
    metrics.open_files()
    traces.start()
    revocations.snapshot.start()
    counters.start()
    metrics.start_sampling()


def end() -> None:
    """Keep what was counted, and send what was traced, since the last time."""
    from tokens.core.operations import counters, traces  # noqa: PLC0415 — not before the application is loaded

    counters.stop()
    traces.stop()


def forget(pid: int) -> None:
    """Take a worker that has ended out of the gauges of those that live."""
    from prometheus_client import multiprocess  # noqa: PLC0415 — not before its directory is named

    multiprocess.mark_process_dead(pid)

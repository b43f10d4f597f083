"""What a refresh must know of locks and revocations, kept in memory so that no refresh waits for the database.

A thread of each process renews the snapshot every `EDI_REVOCATION_SECONDS`. While the database is away the last
snapshot stays in force.

What ends all tokens of somebody ends those that were made before it, and no token may seem to be younger than it is:

- A renewed EDI token counts as made at the moment up to which revocations were known, not at that of its renewal
  (`claims.renewed`, `claims.made_at`). That moment, `known_until`, is `COMMIT_SECONDS` before the snapshot was read,
  for those that had their time already and were not stored yet.
- Tokens tell whole seconds. None is made anew in the second in which those of before were ended
  (`services._after_the_second_of`).
- A PASTA token tells its end alone. The earliest moment at which it can have been made is reckoned with the longest
  lifetime that tokens had lately (`claims.pasta_issued_at`, `Snapshot.longest_hours`).
"""

import logging
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from edi_auth.models import Group, Profile, edi_id_of, uid_of
from tokens.core.errors import Forbidden, Unavailable
from tokens.core.models import DailyCount
from tokens.core.operations import background, counters, health, metrics

log = logging.getLogger(__name__)

# For how long after its start a process has refreshes wait for the first snapshot.
FIRST_SNAPSHOT_SECONDS = 2.0
# From what age on a snapshot that no limit is set for is worth telling operators.
OLD_SECONDS = 60
# How long a revocation may take from its time to its commit.
COMMIT_SECONDS = 10.0
# Under which name the roll-up keeps `EDI_TOKEN_HOURS`, and for how long at most a token lasts and is remembered.
TOKEN_HOURS, LONGEST = "edi_auth:token_hours", timedelta(days=33)


@dataclass(frozen=True, slots=True)
class Revocation:
    """What ends the tokens of one principal: a lock, or the moment (seconds) from before which no token counts."""

    is_locked: bool
    tokens_valid_after: float

    def __or__(self, other: "Revocation") -> "Revocation":
        """What ends the tokens that either ends."""
        return Revocation(self.is_locked or other.is_locked, max(self.tokens_valid_after, other.tokens_valid_after))


class Snapshot:
    """The revocations as the database had them a few seconds ago, at `known_until` (seconds since the epoch)."""

    def __init__(self) -> None:
        self._revocations: Mapping[str, Revocation] = {}
        self._loaded_at: float | None = None
        self._stored_hours = 0
        self._noted: tuple[date, int] | None = None
        self.known_until = 0.0
        self._has_loaded = threading.Event()
        self._lock = threading.Lock()
        self._pid = 0
        self._started_at = 0.0

    def start(self) -> None:
        """Renew the snapshot in the background from now on. Once per process is enough, more often does no harm."""
        with self._lock:
            if self._pid == os.getpid():
                return
            self._pid, self._started_at = os.getpid(), time.monotonic()
            self._has_loaded = threading.Event()
            threading.Thread(target=self._renew_for_ever, name="revocations", daemon=True).start()

    def check(self, principal: str, issued_at: float) -> None:
        """Whether a token of `principal` (an EDI-ID) made at `issued_at` (seconds) still counts.

        Raises `Forbidden` if not, and `Unavailable` while no snapshot could be read since the process began, or when
        the last one is older than `EDI_REVOCATION_MAX_AGE`.
        """
        self._wait()
        age, oldest = self.age(), settings.EDI_REVOCATION_MAX_AGE
        if oldest and (age is None or age > oldest):
            raise Unavailable("The revocations are not known well enough.")
        revocation = self._revocations.get(principal)
        if revocation is None:
            return
        if revocation.is_locked:
            raise Forbidden("The profile or group is locked.")
        if issued_at < revocation.tokens_valid_after:
            raise Forbidden("The tokens of this profile or group were revoked.")

    def longest_hours(self) -> int:
        """The longest `EDI_TOKEN_HOURS` that a token which still lasts can have been made under.

        A PASTA token tells when it ends and not when it was made. Were that reckoned with the setting of today, a
        shorter one would make a token from before a revocation seem younger than that. Raises `Unavailable`.
        """
        self._wait()
        return max(self._stored_hours, settings.EDI_TOKEN_HOURS)

    def note_hours(self, *, now: datetime) -> None:
        """Store, once a day, how long tokens last. Raises Django's database errors."""
        noted = now.date(), settings.EDI_TOKEN_HOURS
        if self._noted != noted:
            counters.note_most(TOKEN_HOURS, settings.EDI_TOKEN_HOURS, now=now)
            self._noted = noted

    def _wait(self) -> None:
        """Wait for the very first snapshot. Raises `Unavailable`."""
        if self._loaded_at is None:
            self.start()
            left = self._started_at + FIRST_SNAPSHOT_SECONDS - time.monotonic()
            if not self._has_loaded.wait(max(left, 0)):
                raise Unavailable("The revocations are not known yet.")

    def age(self) -> float | None:
        """The seconds since the snapshot was read; None while there is none."""
        return None if self._loaded_at is None else time.monotonic() - self._loaded_at

    def renew(self) -> None:
        """Read the snapshot now. Raises Django's database errors."""
        begun, known_until = time.monotonic(), time.time() - COMMIT_SECONDS
        is_ended = Q(locked_at__isnull=False) | Q(tokens_valid_after__isnull=False)
        ended = ("edi_id", "locked_at", "tokens_valid_after")
        revocations = {row[0]: _revocation(*row[1:]) for row in Group.objects.filter(is_ended).values_list(*ended)}
        profiles = Profile.objects.filter(is_ended).values_list(*ended, "idp", "idp_uid", "email")
        for edi_id, locked_at, valid_after, idp, idp_uid, email in profiles:
            revocation = _revocation(locked_at, valid_after)
            for principal in {edi_id, edi_id_of(uid_of(idp, idp_uid, email))}:
                # The e-mail address that a Google profile goes by can be the identity of another profile.
                known = revocations.get(principal)
                revocations[principal] = revocation if known is None else revocation | known
        self._stored_hours, self._revocations = stored_hours(now=timezone.now()), revocations
        self._loaded_at, self.known_until = begun, known_until
        self._has_loaded.set()
        metrics.snapshot_read_at.set(known_until + COMMIT_SECONDS)

    def _renew_for_ever(self) -> None:
        background.repeat(
            self._turn,
            seconds=lambda: settings.EDI_REVOCATION_SECONDS,
            failing="revocations cannot be renewed (%s); the last snapshot stays in force",
            log=log,
        )

    def _turn(self) -> None:
        self.renew()
        try:
            self.note_hours(now=timezone.now())
        except Exception as exc:  # noqa: BLE001 — it never keeps revocations from being renewed; the next turn tries again
            log.warning("the lifetime of tokens cannot be stored (%s)", type(exc).__name__)


def stored_hours(*, now: datetime) -> int:
    """The longest that a token was made for, of the days from which one can still last; 0 where nothing is stored."""
    rows = DailyCount.objects.filter(name=TOKEN_HOURS, day__gte=now.date() - LONGEST).values_list("day", "count")
    return max((hours for day, hours in rows if now.date() <= day + timedelta(days=1, hours=hours)), default=0)


def _revocation(locked_at: datetime | None, valid_after: datetime | None) -> Revocation:
    return Revocation(locked_at is not None, valid_after.timestamp() if valid_after else 0.0)


snapshot = Snapshot()


def probe() -> str:
    """What readiness says of the snapshot: refreshes fail without one, and with one that is older than they may use."""
    age = snapshot.age()
    if age is None:
        raise health.NotReady("were not read yet")
    words = f"{age:.0f} s old"
    if settings.EDI_REVOCATION_MAX_AGE and age > settings.EDI_REVOCATION_MAX_AGE:
        raise health.NotReady(f"{words}; refreshes are refused")
    return f"{words}; the database is away, or the thread is" if age > OLD_SECONDS else health.OK

"""Rotating signing keys without an outage: publish the next key, sign with it, retire the old one.

Each step is one atomic replacement of a file, and what to do next is read from the files alone: a rotation that was
interrupted anywhere goes on with the next call. Key files live side by side:

| file | what it is |
| --- | --- |
| `edi.pem` | signs |
| `edi.next.pem` | published: verifies, and will sign |
| `edi.old-1790000000.pem` | verifies; signed until that second |

Secrets live in `.env` in the same way, as `NAME`, `NAME_NEXT` and `NAME_FALLBACKS`; `NAME_ROTATED_AT` is the second at
which the newest fallback stopped signing.
"""

import os
import re
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tokens.core.errors import Forbidden
from tokens.core.times import later

# Long enough for caches of the JWKs (5 minutes) and for servers that are restarted one after the other.
PUBLISH_FOR = timedelta(minutes=15)
# How long servers may go on signing with the old secret until they are restarted.
RESTART_FOR = timedelta(hours=1)
PLAIN = re.compile(r"[^\s'\"#]*")
SECOND = re.compile(r"[0-9]{1,10}")


def give_to_owner_of(path: Path, descriptor: int) -> None:
    """Give the file that is open as `descriptor` to the owner of `path` where root has made it.

    A server that runs as somebody else could not read it.
    """
    if os.geteuid() == 0:
        status = path.stat()
        with suppress(PermissionError):  # in a container whose root may not
            os.fchown(descriptor, status.st_uid, status.st_gid)


class Signer(ABC):
    """Something that signs and whose key can be rotated."""

    name: str

    @abstractmethod
    def next_step(self, now: datetime) -> "Step":
        """What is to be done next, and from when on."""

    @abstractmethod
    def publish(self, now: datetime) -> str:
        """Make the next key known; return a sentence about it."""

    @abstractmethod
    def sign(self, now: datetime) -> str:
        """Sign with the next key; return a sentence about it."""

    @abstractmethod
    def retire(self, now: datetime) -> str:
        """Forget the old keys; return a sentence about it."""


@dataclass(frozen=True, slots=True)
class Step:
    """The step to take next (`publish`, `sign`, `retire`), the moment from which it may be taken, and a remark.

    None for the moment means that nobody can tell yet.
    """

    name: str
    due_at: datetime | None
    remark: str = ""


_signers: dict[str, Signer] = {}


def register(signer: Signer) -> None:
    """Make a signer known to `rotate_keys`."""
    _signers[signer.name] = signer


def signers() -> dict[str, Signer]:
    """All signers by name."""
    return dict(_signers)


def take(signer: Signer, step: str | None, *, is_forced: bool, now: datetime) -> str:
    """Take `step`, or the next one, and return a sentence. Raises `Forbidden` when it is not its turn or not due."""
    following = signer.next_step(now)
    if step is not None and step != following.name:
        raise Forbidden(f"The next step of {signer.name} is {following.name}, not {step}.")
    if not is_forced and (following.due_at is None or now < following.due_at):
        when = f"until {following.due_at:%Y-%m-%d %H:%M:%S} UTC" if following.due_at else "yet"
        raise Forbidden(f"{following.name} is not due {when}. {following.remark}".strip())
    action: Callable[[datetime], str] = getattr(signer, following.name)
    return action(now)


@dataclass(frozen=True)
class FileSigner(Signer):
    """A signer whose key is in a PEM file. `write_key` makes a fresh one; tokens last for `lifetime()`."""

    name: str
    path: Callable[[], Path]
    write_key: Callable[[Path], Path]
    lifetime: Callable[[], timedelta]

    @property
    def _next(self) -> Path:
        path = self.path()
        return path.with_name(f"{path.stem}.next{path.suffix}")

    def _old(self) -> dict[Path, datetime]:
        path = self.path()
        pattern = re.compile(rf"{re.escape(path.stem)}\.old-([0-9]{{1,10}}){re.escape(path.suffix)}")
        matches = ((file, pattern.fullmatch(file.name)) for file in sorted(path.parent.iterdir()))
        return {file: datetime.fromtimestamp(int(match[1]), tz=UTC) for file, match in matches if match}

    def next_step(self, now: datetime) -> Step:
        """See `Signer`."""
        if self._next.exists():
            published_at = datetime.fromtimestamp(self._next.stat().st_mtime, tz=UTC)
            return Step("sign", published_at + PUBLISH_FOR, "Until then caches may not know the next key.")
        old = self._old()
        if old:
            due_at = max(old.values()) + self.lifetime()
            return Step("retire", due_at, "Until then tokens of the old key are in use.")
        return Step("publish", now)

    def publish(self, now: datetime) -> str:
        """See `Signer`."""
        self.write_key(self._next)
        begins_at = later(now, PUBLISH_FOR)
        return f"Published the next key of {self.name}; it may sign from {begins_at:%Y-%m-%d %H:%M:%S} UTC on."

    def sign(self, now: datetime) -> str:
        """See `Signer`. The old key has its second name before the new one takes the first: it is never missing."""
        path = self.path()
        old = path.with_name(f"{path.stem}.old-{int(now.timestamp())}{path.suffix}")
        for file in self._old():
            if path.exists() and file.samefile(path):  # of a run that was interrupted here: the key went on signing
                file.unlink()
        if path.exists():
            os.link(path, old)
        self._next.replace(path)
        ends_at = later(now, self.lifetime())
        return f"{self.name} signs with the new key. The old one can go at {ends_at:%Y-%m-%d %H:%M:%S} UTC."

    def retire(self, now: datetime) -> str:
        """See `Signer`."""
        names = []
        for file in self._old():
            file.unlink()
            names.append(file.name)
        return f"Deleted {', '.join(names)}."


@dataclass(frozen=True)
class SecretSigner(Signer):
    """A signer whose secret is the variable `setting` in `.env`.

    `old_until(moment)` is when the last token is gone that was signed before `moment`, None if that is never, with a
    remark.
    """

    name: str
    setting: str
    env_file: Callable[[], Path]
    old_until: Callable[[datetime], tuple[datetime | None, str]]

    def next_step(self, now: datetime) -> Step:
        """See `Signer`."""
        variables = self._read()
        if variables.get(f"{self.setting}_NEXT"):
            return Step("sign", now, "")
        if variables.get(f"{self.setting}_FALLBACKS"):
            rotated_at = f"{self.setting}_ROTATED_AT"
            if not SECOND.fullmatch(variables.get(rotated_at, "")):
                return Step("retire", None, f"Set {rotated_at} to the Unix time at which the old secret last signed.")
            signed_at = datetime.fromtimestamp(int(variables[rotated_at]), tz=UTC)
            until, remark = self.old_until(signed_at + RESTART_FOR)
            return Step("retire", until, remark)
        return Step("publish", now)

    def publish(self, now: datetime) -> str:
        """See `Signer`."""
        self._write({f"{self.setting}_NEXT": secrets.token_urlsafe(32)})
        return f"Published the next secret of {self.name}. Restart every server, then call this again to sign with it."

    def sign(self, now: datetime) -> str:
        """See `Signer`."""
        variables = self._read()
        old = [variables.get(self.setting, ""), *variables.get(f"{self.setting}_FALLBACKS", "").split(",")]
        self._write(
            {
                self.setting: variables[f"{self.setting}_NEXT"],
                f"{self.setting}_NEXT": None,
                f"{self.setting}_FALLBACKS": ",".join(filter(None, old)),
                f"{self.setting}_ROTATED_AT": str(int(now.timestamp())),
            }
        )
        if self.setting in os.environ:  # read from the file at the start; to the next look it would override the file
            os.environ[self.setting] = variables[f"{self.setting}_NEXT"]
        remark = self.old_until(now)[1]
        return f"{self.name} signs with the new secret after the next restart. {remark}".strip()

    def retire(self, now: datetime) -> str:
        """See `Signer`."""
        self._write({f"{self.setting}_FALLBACKS": None, f"{self.setting}_ROTATED_AT": None})
        return f"Forgot the old secrets of {self.name}. Restart every server."

    def _read(self) -> dict[str, str]:
        lines = _lines(self.env_file()) if self.env_file().is_file() else []
        found = {_name(line): line.partition("=")[2].strip() for line in lines if "=" in line}
        if self.setting not in found:
            raise Forbidden(f"{self.setting} is not in {self.env_file()}: rotate it where your environment is kept.")
        if os.environ.get(self.setting, found[self.setting]) != found[self.setting]:
            raise Forbidden(f"The environment has another {self.setting} than {self.env_file()}; rotate that.")
        odd = [name for name, value in found.items() if name.startswith(self.setting) and not PLAIN.fullmatch(value)]
        if odd or "," in found[self.setting]:
            name = odd[0] if odd else self.setting
            raise Forbidden(f"Write {name} without quotes, blanks, commas or comments first; this cannot change it so.")
        return found

    def _write(self, changes: dict[str, str | None]) -> None:
        """Replace the file as a whole by one with `changes`, None removing a variable; every other line stays."""
        path = self.env_file().resolve()
        rest = dict(changes)
        kept = []
        for line in _lines(path):
            name = _name(line)
            if name not in changes:
                kept.append(line)
            elif (value := rest.pop(name, None)) is not None:
                kept.append(f"{line.partition('=')[0]}={value}")
        kept += [f"{name}={value}" for name, value in rest.items() if value is not None]
        draft = path.with_name(f".{path.name}.draft")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        give_to_owner_of(path, descriptor)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write("\n".join(kept) + "\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8-sig").splitlines()


def _name(line: str) -> str:
    """The variable that a line of `.env` sets."""
    return line.partition("=")[0].strip().removeprefix("export ").strip()

"""The registry of first-run steps: what each app needs to exist before it can serve. The `init` command takes them."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tokens.core.demo import Progress


@dataclass(frozen=True, slots=True, repr=False)
class Made:
    """Something the first run made: a sentence for people, the secret that is shown this once, a command to try it."""

    label: str
    secret: str = ""
    example: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Run:
    """One run of `init`: where the server will be, the variables it has just made, and whether to make a demo."""

    base_url: str
    fresh: Mapping[str, str]
    is_demo: bool


@dataclass(frozen=True, slots=True)
class Setup:
    """The first-run steps of one app.

    `secrets` maps variables of `.env` to functions that make fresh values; those in `needed` may not be empty.
    `make_files()` writes the key files that are missing and returns their paths. `make_rows(run)` runs after the
    migrations and makes the first rows, or none where there are some. `make_demo_data(count, progress)` makes that many
    rows of each kind, of which nobody has the secret.
    """

    secrets: Mapping[str, Callable[[], str]] = field(default_factory=dict)
    needed: Collection[str] = ()
    make_files: Callable[[], list[Path]] = list
    make_rows: Callable[[Run], list[Made]] = lambda _run: []
    make_demo_data: Callable[[int, Progress], None] = lambda _count, _progress: None


_setups: list[Setup] = []


def register(setup: Setup) -> None:
    """Make the steps of one app known."""
    _setups.append(setup)


def all_setups() -> tuple[Setup, ...]:
    """The steps of all apps in the order of `INSTALLED_APPS`."""
    return tuple(_setups)

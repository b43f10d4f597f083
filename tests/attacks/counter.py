"""How many hostile inputs of which sort the tests have sent. `python -m tests.attacks` prints the sums."""

import json
import os
from collections import Counter
from pathlib import Path

# The folder into which each process of a run writes its counts; nothing is written without it.
FOLDER = "ATTACK_COUNTS"

_tried: Counter[str] = Counter()


def tried(sort: str, inputs: int = 1) -> None:
    """Count hostile inputs of one sort."""
    _tried[sort] += inputs


def write() -> None:
    """Leave the counts of this process in the folder that `ATTACK_COUNTS` names."""
    if FOLDER in os.environ:
        (Path(os.environ[FOLDER]) / f"{os.getpid()}.json").write_text(json.dumps(_tried))


def read(folder: Path) -> Counter[str]:
    """The counts of all processes together."""
    counts: Counter[str] = Counter()
    for file in folder.glob("*.json"):
        counts.update(json.loads(file.read_text()))
    return counts

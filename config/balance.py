"""How many connections each of gunicorn's workers has, so that one that has many leaves the next to another.

By itself the worker that wakes first takes all that have connected, and serves them alone for as long as they stay.
"""

import mmap

# More workers share the places, and then one of them may leave a connection in vain.
PLACES = 64
ABSENT = 2**32 - 1

# Memory of the first process and of all workers that it forks.
_numbers = memoryview(mmap.mmap(-1, 4 * PLACES)).cast("I")
for _place in range(PLACES):
    _numbers[_place] = ABSENT


def tell(worker: int, number: int) -> None:
    """Say how many connections the worker of that age has that accepts more; `ABSENT` if it accepts none."""
    _numbers[worker % PLACES] = number


def fewest() -> int:
    """How many connections the worker has that has the fewest."""
    return min(_numbers)

"""What the state machines share: a clock that they move, rows that do not survive, a client, and a count of steps."""

import os
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import time_machine
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from edi_auth import services as edi_services
from tests.client import APIClient
from tokens.core.audit import Actor

START = datetime(2026, 11, 22, tzinfo=UTC)
ACTOR = Actor(kind="system", channel="system", label="state machine")
STEPS = 50
# With the larger number each of the three machines makes a third of ten thousand steps.
MANY, THIRD = 80, 3334
EXAMPLES = int(os.environ.get("STATEFUL_EXAMPLES") or (MANY if "CI" in os.environ else 20))
steps: Counter[str] = Counter()

# Lengths of time that fall on, just before and just behind each other.
waits = st.sampled_from([timedelta(milliseconds=1), timedelta(seconds=1), timedelta(hours=1), timedelta(hours=8)])
lifetimes = st.none() | st.sampled_from([timedelta(hours=hours) for hours in (-1, 1, 2, 9)])
graces = st.sampled_from([timedelta(0), timedelta(hours=1), timedelta(hours=24)])


class Machine(RuleBasedStateMachine):
    """A registry and a model of it, which must agree whatever is done in whatever order."""

    def __init__(self) -> None:
        super().__init__()
        self._rows = transaction.atomic()
        self._rows.__enter__()
        self._clock = time_machine.travel(START, tick=False)
        self._traveller = self._clock.start()
        # Reads the revocations, too: those of the run before are of rows that are gone.
        self.move_to(START)
        self.api = APIClient()

    def teardown(self) -> None:
        """Forget all rows, and set the clock right."""
        self._clock.stop()
        transaction.set_rollback(True)
        self._rows.__exit__(None, None, None)

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """One request."""
        return self.api.call(method, path, body, **options)

    def move_to(self, moment: datetime) -> None:
        """Set the clock, and have the revocations read as the background thread does."""
        self.now = moment
        self._traveller.move_to(moment)
        edi_services.snapshot.renew()

    @rule(length=waits)
    def wait(self, length: timedelta) -> None:
        """Time goes by."""
        self.move_to(self.now + length)

    def check_invariants(self, *args: Any, **options: Any) -> Any:
        """Hypothesis asks for this after each step."""
        steps[type(self).__name__] += 1
        return super().check_invariants(*args, **options)


def run(machine: type[Machine]) -> None:
    """Run `machine` `EXAMPLES` times, `STEPS` far at most; `MANY` times make `THIRD` steps or more."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert steps[machine.__name__] >= (THIRD if EXAMPLES >= MANY else 1)
    print(f"{machine.__name__}: {steps[machine.__name__]} steps")  # noqa: T201 — shown with -s

"""What all of the daemon's tests share: a CA, one PostgreSQL, and hypothesis without a limit on one example's time."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from pki import Authority
from postgres import Postgres, running_postgres

# A shell starts what it runs in the background with SIGINT ignored, and all our processes would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The machine may be busy: how long one example takes says nothing about what is tested. And the same code has the same examples, so
# that a change is judged by what it changes; HOLDFAST_FUZZ_EXAMPLES=N looks at N others.
settings.register_profile(
    "busy",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    max_examples=100,
    database=None,
    derandomize="HOLDFAST_FUZZ_EXAMPLES" not in os.environ,
)
settings.load_profile("busy")


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Running at the start of each test; one that stops it starts it again."""
    with running_postgres() as cluster:
        yield cluster

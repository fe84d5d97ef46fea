"""What all of the daemon's tests share: a CA, one PostgreSQL, and hypothesis without a clock of its own."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# The machine may be busy: how long one example takes says nothing about what is tested.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=100, database=None)
settings.load_profile("busy")

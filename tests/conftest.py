"""Settings of every unit test."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# How fast the machine is at the moment says nothing about the code.
settings.register_profile("storm", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("storm")

"""Settings of the unit tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# A drawn example may take as long as the machine needs: what it shows does not depend on that.
settings.register_profile("any speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any speed")

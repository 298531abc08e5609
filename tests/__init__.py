"""The promises of twisted_chat, one module for each of its own."""

from hypothesis import HealthCheck, settings
from twisted.trial import util

from .deadlines import TEST_SECONDS

# That a machine is busy is no fault. The examples are the same in each run, so that a change is judged by what it
# changes; `tests/fuzz` looks for new ones.
settings.register_profile("tests", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")

util.DEFAULT_TIMEOUT_DURATION = TEST_SECONDS

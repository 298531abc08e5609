"""The promises of twisted_chat, one module for each of its own."""

from hypothesis import settings
from twisted.trial import util

from .deadlines import TEST_SECONDS

settings.register_profile("tests", deadline=None)  # that a machine is busy is no fault
settings.load_profile("tests")

util.DEFAULT_TIMEOUT_DURATION = TEST_SECONDS

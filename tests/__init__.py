"""The promises of twisted_chat, one module for each of its own."""

from hypothesis import settings

settings.register_profile("tests", deadline=None)  # that a machine is busy is no fault
settings.load_profile("tests")

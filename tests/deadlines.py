"""How long the tests may wait: they run on small machines that do much else at the same time.

A wait that ends with its event takes no longer for a high deadline. The deadline is there to end a run that is stuck,
and to say where; it says nothing about the speed of what is tested.
"""

from typing import Final

WAIT_SECONDS: Final = 120.0
"""Seconds after which a wait for one event is given up, such as the line that a server writes once it listens."""

TEST_SECONDS: Final = 900.0
"""Seconds after which a whole test is given up. Trial's own 120 can be too few for one that starts many processes."""

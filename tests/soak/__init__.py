"""The server over a long time: honest users talk while others attack it, and it is watched.

    python -m tests.soak [--minutes N] [--seed S]

The judge and the honest users are those of `tests.faults`, together with users of the two client libraries over TCP,
TLS and UDP. `attacks.py` has the attackers, `trend.py` the least squares, and `course.py` the whole run: the server is
killed and started again a few times at the beginning, and then runs on, so that its memory can be compared over time.
The exit status is 1 if a promise was broken, or if memory, descriptors or threads have grown.
"""

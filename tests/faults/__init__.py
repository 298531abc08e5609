"""The server under faults: it is started, clients talk, something breaks, and every promise is checked.

    python -m tests.faults [--rounds N] [--only NAME] [--seed S]

The tests know the server as a user does, by its protocol and its command, and have a client of their own, so that no
assumption shared by the parts of the project can hide a bug. Read `history.py`, the judge, first. `people.py` has the
clients, who come back after a fault and send again what was not acked. The faults are in `crash.py`, `cut.py`,
`disk.py`, `clock.py` and `slow.py`.
"""

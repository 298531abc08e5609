"""A server under faults: the real one is started, people talk, something breaks, and every promise is checked.

    python -m tests.faults [--rounds N] [--only NAME] [--seed S]

It knows of the server what a user knows, the wire and the command, and has a client of its own: what the project's
parts believe of each other cannot hide anything here. `history.py` is the judge and the place to begin; `people.py`
are those who talk, come back after a fault and say again what was not acked; `crash.py`, `cut.py`, `disk.py`,
`clock.py` and `slow.py` are the faults.
"""

"""How fast the server is, measured on a machine of yours: `python -m benchmarks --help`.

`cases` says what is measured, on a `server` that was started as users start it and under a `load` that costs little
itself; `results` is what is kept of it, `report` and `plot` show it. `log_size` measures the store alone.

Several servers have programs of their own: `cluster` measures them on one PostgreSQL, `database_size` measures their
store by the number of rooms and messages, and `scaling` estimates from these figures what many machines carry.
"""

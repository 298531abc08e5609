"""The embedded store: one SQLite file.

`log.py` is the store, `file.py` the open file with its threads, and `database.py` the SQL, which the commands use too.
"""

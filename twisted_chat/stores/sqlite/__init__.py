"""The embedded store: one SQLite file.

`log.py` has the logs and `registry.py` the accounts and rules, `file.py` the open file with its threads, and
`database.py` and `registry_sql.py` the SQL, which the commands use too.
"""

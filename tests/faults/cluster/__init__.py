"""Several servers with one database in PostgreSQL, under faults.

    python -m tests.faults.cluster [--patroni] [--rounds N] [--only NAME] [--seed S]

Without `--patroni` there is one PostgreSQL; with it there are three, with etcd, on machines of their own: network
namespaces, for which the command needs root. The people, the judge and the server are those of `tests.faults`. A person
knows the addresses of all servers, and goes on at the next one when its own does not answer.
"""

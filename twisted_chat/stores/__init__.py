"""Stores: each is a package with a `Log` and a `RoomLog`, as in `log.py`. Only `service` knows which one is used."""

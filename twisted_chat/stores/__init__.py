"""Stores: each is a package that offers the `Log` and `RoomLog` of `log.py`; only `tap` knows which one is used."""

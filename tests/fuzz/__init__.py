"""Fuzzing: whatever bytes arrive, the server and the clients keep their promises.

    python -m tests.fuzz DRIVER [--seconds N] [--seed S] [--corpus FOLDER]

A driver is a module with a function `run`, which takes any bytes and raises an error where a promise is broken. With
`atheris` installed (`pip install -e '.[fuzz]'`), coverage of the branches guides the search for new inputs; without it,
they are made at random of those in the corpus. An input that breaks a promise is written to the current folder, and
`python -m tests.fuzz DRIVER FILE` runs it again.
"""

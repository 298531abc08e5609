"""The logs of the server for the one who runs it, which are not the logs of rooms.

`access` is a log of its own, with a line for each connection that has ended. The others are about the log that
`twistd` writes: `bounded` limits how often the same entry is written, `files` opens its files anew, and `json_format`
writes it as JSON.
"""

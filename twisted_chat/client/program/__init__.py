"""The program that a person runs, as far as both of its interfaces share it, and the interface of lines.

`settings.py`, `config.py` and `options.py` read what was asked for; `command.py`, `commands.py` and `person.py` do what
is typed; `clean.py` makes text of others safe to show, and `trouble.py` says what went wrong. `plain.py` is the
interface of lines, with `lines.py` and `stdio.py` for the standard streams and `bare.py` for servers of the oldest
kind. `running.py` is one run, up to its exit status. The interface of the whole screen is
`twisted_chat.client.terminal`.
"""

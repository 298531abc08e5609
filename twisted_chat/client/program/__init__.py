"""The program for people: the parts that both of its interfaces share, and the interface of lines.

`settings.py`, `config.py` and `options.py` read the options and the configuration file. `command.py`, `commands.py` and
`person.py` carry out what is typed. `clean.py` makes text from others safe to show, and `trouble.py` explains errors.
`plain.py` is the interface of lines, with `lines.py` and `stdio.py` for the standard streams and `bare.py` for servers
of the oldest kind. `running.py` is one run, up to its exit status. The interface of the whole screen is
`twisted_chat.client.terminal`.
"""

"""The program that a person runs: its options, the commands after a slash, and the interface of lines.

The interface of the whole screen is `twisted_chat.client.terminal`, which builds on this package.
"""

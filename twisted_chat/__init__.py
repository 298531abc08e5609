"""A chat server on Twisted: JSON lines over a stream, and a room is a log."""

__version__ = "0.1.0"

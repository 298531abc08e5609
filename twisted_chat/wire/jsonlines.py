"""JSON lines over a stream: TCP, TLS over TCP, or a Unix socket."""

from __future__ import annotations

from twisted.protocols.basic import LineReceiver

from ..encoding import LINES
from ..framing import Framer
from ..messages import read_request
from .stream import Stream, StreamFactory


class JSONLines(Stream, LineReceiver):
    """One connection: what arrives goes as objects to its participant, and lines go to the other end.

    Objects may come with no line end between them, so it is `framing.Framer` that cuts what arrives, all of one read at
    once; `LineReceiver` would look through its whole buffer again for each line.
    """

    delimiter = b"\n"
    encoding = LINES
    may_be_bare = True
    make_cutter = Framer
    read_request = staticmethod(read_request)


class JSONLinesFactory(StreamFactory):
    """Makes a `JSONLines` for each connection."""

    protocol = JSONLines

"""JSON lines over a stream: TCP, TLS over TCP, or a Unix socket."""

from __future__ import annotations

from twisted.protocols.basic import LineReceiver

from ..encoding import LINES
from ..framing import Framer
from ..messages import read_request
from .stream import Stream, StreamFactory


class JSONLines(Stream, LineReceiver):
    """One connection: received objects go to its participant, and lines go to the peer.

    Objects may come without a line end between them, so `framing.Framer` cuts the stream, all of one read at once.
    `LineReceiver` would search its whole buffer again for each line.
    """

    delimiter = b"\n"
    encoding = LINES
    may_be_bare = True
    make_cutter = Framer
    read_request = staticmethod(read_request)


class JSONLinesFactory(StreamFactory):
    """Makes a `JSONLines` for each connection."""

    protocol = JSONLines

"""UDP: one object in each datagram. Datagrams get lost, arrive twice, or arrive out of order.

Requests with a number (`n`) are handled in order and exactly once. A client that has missed a message reads it from the
room's log. An address has to prove itself before the server remembers anything about it: its first hello is answered
with a cookie.

A client's datagram may have these fields beside those of its request:

    cookie  in a hello: the cookie that the server gave to this address, at most two minutes ago
    pad     in a hello: any text. The answer to a hello never has more bytes than the hello itself
    token   in a hello: a secret of 16 to 64 characters, which every other datagram of the session then has to carry
    n       the number of a request, from 1 on: numbered requests are handled in order, each of them once

The server's datagrams carry `n` too: it counts all datagrams of a session.

`port` finds the session of a datagram, or opens one, with the help of `cookies`; `wire` is a session. Its parts know
nothing of sockets, and nothing of each other: `requests` puts requests in order, `fitting` makes replies fit into a
`datagram` (`encoding` is what rooms and sessions see of that), `sending` numbers datagrams and sends them at a pace,
and `silence` decides when the client is pinged.
"""

from .port import UDPPort

__all__ = ["UDPPort"]

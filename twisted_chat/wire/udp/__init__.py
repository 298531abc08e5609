"""UDP: an object a datagram, some of which get lost, come twice, or come in another order.

What a client says is kept in order and taken once where it asks for that (`n`); what it misses it reads from the room's
log. An address has to prove itself before anything is remembered of it: its first hello is answered by a cookie.

A client's datagram may have these fields beside those of its request:

    cookie  in a hello: what the server gave to this address, at most two minutes ago
    pad     in a hello: anything. A hello is not answered by more bytes than it has itself
    token   in a hello: a secret (16 to 64 characters) that each other datagram of this session then has to carry
    n       a request's number, from 1 on: the server takes those that have one in their order, each of them once

The server's datagrams have `n` as well, counting all of a session.

`port` finds the session of a datagram, or opens one, with the help of `cookies`; `wire` is a session. Its parts know
nothing of sockets, and nothing of each other: `requests` puts in order what comes, `fitting` makes what goes fit into a
`datagram` (`encoding` is where rooms and sessions ask for that), `sending` gives it a number and sends it at a pace,
and `silence` says when the client is to be asked whether it is there.
"""

from .port import UDPPort

__all__ = ["UDPPort"]

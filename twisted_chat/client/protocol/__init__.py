"""The client's one engine, sans I/O: what is asked, what is known, and what comes next.

Nothing here has a socket, a clock or a thread, nothing calls out, and nothing needs more than Python. A shell carries
objects between a connection and the `Engine`, tells it what time it is (in seconds; only differences count), and pulls
what there is to do: `take_objects` to send, `take_events` to tell, `take` for a room's next message, `due` for the time
of the next `tick`, `hang_up` for the end of a connection. `twisted_chat.client` is the shell for Twisted and asyncio,
`twisted_chat.client.blocking` the one for threads.

From the bottom up:

- `objects`: the objects of the wire, and the dataclasses that are made of them for programs.
- `pace`, `outbox`, `partial_log`, `room_reader`: the rate limit and the backoff, unacked messages, what is known of a
  log, and how a member reads on in it. The reader is told of gaps, so it serves streams
  (where a gap is what a slow consumer had no space for) and datagrams (where it is what got lost) alike.
- `requests`, `membership`, `events`: what was asked, a room that the client is in, and what a shell is told.
- `exchange`: what is asked and said, what is sent now, and what waits. `rooms`: being in rooms, and reading their logs.
- `engine`: the connection, what comes over it, and what a shell calls.
- `datagrams`: a session over UDP: the cookie, numbers, repeated requests and the order of what comes.
"""

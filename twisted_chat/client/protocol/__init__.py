"""The engine of all clients, sans I/O.

Nothing here has a socket, a clock or a thread, nothing calls out, and nothing needs more than Python. A shell carries
objects between a connection and the `Engine`, passes in the time (in seconds; only differences count), and pulls what
there is to do: objects to send (`take_objects`), events (`take_events`), the next message of a room (`take`),
the time of the next `tick` (`due`), and the end of a connection (`hang_up`). `twisted_chat.client` is the shell for
Twisted and asyncio, `twisted_chat.client.blocking` the one for threads.

From the bottom up:

- `objects`: the objects of the wire, and the dataclasses that programs get.
- `lines`: the lines of a stream, as objects.
- `datagrams`: a session over UDP, with its cookie, numbers, repeated requests and reordering.
- `requests`: what can be asked, and how the answers are read.
- `actions`: the requests about accounts, as values.
- `errors`, `states`: what goes wrong, and the state of the connection, as programs learn of them.
- `pace`, `outbox`: the rate limit and the backoff; unacked messages.
- `partial_log`, `room_reader`: what is known of a log, and how a member reads it. The reader learns of gaps, so it
  serves streams and datagrams alike: a gap is what a slow consumer had no space for, or what got lost.
- `membership`, `events`: a room that the client is in; the events for a shell.
- `exchange`: requests and messages, what is sent now, and what waits.
- `rooms`: the rooms, and how their logs are read.
- `directs`: the direct conversations between accounts, which are logs, too.
- `engine`: the connection, what arrives over it, and what a shell calls.
- `shell`: the part that the shells have in common.
"""

"""The status of the server for the one who runs it: metrics, a page with the last hour, and whether it is ready.

Everything is read from plain counters when somebody asks (`snapshot`), so it costs the chat nothing but additions, and
it is answered while the store hangs. `site` answers, `visit` bounds what that may cost, `metrics` has the words of
Prometheus, `history` keeps an hour, and `page` draws it.
"""

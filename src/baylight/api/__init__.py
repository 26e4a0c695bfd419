"""HTTP API: one module of routes for each kind of thing, below `/api/v1`.

A route parses the request, calls one function of a service, and returns its result. It decides nothing, holds no SQL,
and knows no driver. The same services stand behind `cli`, so both give the same result.

Start with `app.py`, which puts the routes together. `deps.py` gives a route its connection, its caller's key and its
`Change`. `requests.py` is around every request (id, log line, limits); `problems.py` turns errors into RFC 9457
problems; `pages.py` holds keyset pages. `hub.py` and `events.py` stream changes; `inbound.py` receives webhooks.

What can go wrong: no connection of the pool becomes free (503 after 5 s), or a watcher of the stream is too slow. Its
stream ends, and the next one starts with a snapshot of the present.
"""

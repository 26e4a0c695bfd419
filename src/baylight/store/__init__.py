"""PostgreSQL: connections, migrations, typed queries, notifications, and constraints in plain words.

`connect.py` opens connections with our types and session settings, and names the errors that callers handle. `pool.py`
opens the pool. `query.py` turns `sql/queries` into typed constants. `migrate.py` applies `sql/migrations`, each once.
`listen.py` is NOTIFY as a stream. `translate.py` turns a violated constraint into the error that its reader
understands. `beside.py` is needed only while a V2 database is migrated.

There is no interface in front of PostgreSQL and no object mapper, and tests run on a real server. The package holds no
queries. Each query is a constant beside its caller.

Start with `query.py`. What can go wrong: the database is away (`AWAY` lists the exceptions; callers try again), or the
schema is older than the program (`migrate.check` raises, and the program does not start).
"""

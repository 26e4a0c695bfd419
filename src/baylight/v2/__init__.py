"""Online migration of a V2 database to Baylight's schema, in stages that can be undone, while V2 goes on working.

A fresh installation does not use this package: only `baylight v2` and its demo import it. `inspection` foresees what
stands in the way. Start with `stages/steps.py`, the table of all steps with their locks. `run.py` runs them.
`backfill`, `later`, `switch`, `contract` and `back` each hold the steps of one kind. What can go wrong: a lock is not
free in time, a crash, or a lost connection. Then the run stops, and the same command goes on where it ended. The
decisions behind the package are in `docs/adr/0010-a-v2-database-is-migrated-beside-its-own-tables.md`.
"""

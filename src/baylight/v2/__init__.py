"""The online migration of a V2 database to Baylight's schema, in stages that can be undone, while V2 goes on working.

It is no part of a fresh installation: only `baylight v2` imports it. Start reading at `steps.py`, the table of all
steps with their locks. `run.py` runs them. `backfill`, `later`, `switch` and `contract` hold the steps of one kind.
The decisions behind them are in `docs/adr/0010-a-v2-database-is-migrated-beside-its-own-tables.md`.
"""

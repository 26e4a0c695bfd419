"""The online migration of a V2 database to Baylight's schema, in stages that can each be undone, while V2 goes on working.

It is no part of a fresh installation: only `baylight v2` imports it. Start reading at `steps.py`, the table of all steps
with their locks; `run.py` runs them; each other module holds the steps of one kind. ADR 10 says why it works this way.
"""

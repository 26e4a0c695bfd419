"""Demo of the migration: a V2 database, a simulated V2 application at work on it, and each stage forth and back.

`course.py` is `baylight demo --from-v2`: start there. `legacy.py` is V2's application, which stands in for the
customer's, with every statement measured. `v2.sql` is V2's schema as it is found in the field. It knows Baylight's
migration only by the functions behind the commands of `baylight v2`.
"""

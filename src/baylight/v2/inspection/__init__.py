"""Inspection of a V2 database: values, names and rights in the way of a migration, and a rehearsal of its steps."""

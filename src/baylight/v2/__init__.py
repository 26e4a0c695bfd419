"""Brings a live V2 database to Baylight's schema, stage by stage, while V2 goes on working; each stage can be undone."""

"""Brings a live V2 database to Baylight's schema in stages, while V2 goes on working; each can be undone."""

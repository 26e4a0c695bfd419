"""Steps of the migration by stage, each with its undo. `steps.py` is the table of all of them."""

"""Answers for people: why a light is as it is, what happened, how things are now, and what needs attention.

`why.py` explains one light, `history.py` lists uplinks, changes and actuations, `as_of.py` shows a space at a moment,
`live.py` gives the present for the live page, `signal.py` judges radio links, `doctor.py` examines the installation.

It only reads. What runs without a request (`control`) does not need it, and no rule is stated here a second time:
`doctor` computes decisions with `domain` and compares.

Start with `why.py`. What can go wrong: uplinks older than their retention are gone, so an old state may be explained
without its uplink.
"""

"""Parts of `bench/loop.py`: a simulated site (`site`), its scenarios (`scenarios`), and what they are measured by.

`course` holds what happened at a bay, `claims` what the database said about it, and `machine` whether the benchmark's
own process was quick enough for its figures to count. Start with `scenarios`.
"""

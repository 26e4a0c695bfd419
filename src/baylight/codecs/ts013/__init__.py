"""JavaScript payload codecs (LoRa Alliance TS013-1.0.0): their calls, answers, mappings and examples, as pure values.

`calls.py` makes calls and reads answers. `sensor_mapping.py` says which decoded values mean OCCUPIED and FREE,
`display_mapping.py` which ones stand for the light of a state. `examples.py` reads examples and compares their results.

It runs no JavaScript: `sandbox` does. It stores no codec: `js_codecs` does.

Start with `Decoded` in `calls.py`. What can go wrong: a codec returns a value that no mapping names. That is no
information about the bay, never FREE.
"""

"""Device types that are part of Baylight, as data: one TOML file each, named after the type's code.

A file says which codec reads the device, how often it sends, after how many missing intervals its reading is no longer
trusted, and, for a display, its FPort and the code of each state. `codecs/catalogue.py` reads the files;
`inventory/device_types.py` brings them into the table `device_types`, beside types that operators add.

It holds no code. The bytes are the codec's. `tests/codecs/test_catalogue.py` checks each file: a state other than FREE
must not look free, for example.

Start with `docs/how-to/add-a-device-type.md`. What can go wrong: an interval that is too short for the operator's
settings turns spaces UNKNOWN, one that is too long shows old readings as fresh.
"""

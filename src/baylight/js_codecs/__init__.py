"""JavaScript codecs of operators: their versions, what proves them, and the device types that use them.

`versions.py` adds, tests, activates and runs versions. A version becomes active only if its own examples pass; the
version before stays stored. `types.py` holds device types that name such a codec, `display_codes.py` the codes that an
encoder makes for each state.

It does not run JavaScript (`sandbox` does, behind `ports.CodecEngine`) and does not know what an answer means
(`codecs/ts013`). For uplinks of the running system see `control/events/scripted.py`.

Start with `versions.py`. What can go wrong: a codec fails at run time. Its uplinks are stored as not decodable, and its
sensors become UNKNOWN at their deadlines; other codecs are not affected.
"""

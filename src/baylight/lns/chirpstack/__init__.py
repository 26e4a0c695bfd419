"""ChirpStack v4: events, downlinks and lists of devices.

`events.py` reads its integration events, by MQTT or HTTP. `downlinks.py` sends commands by its gRPC API or by MQTT
`command/down`. `devices.py` lists devices for an import. The generated messages are in `protocol`.

It does not hold the MQTT connection (`lns/mqtt`) and does not register devices.

Start with `parse` in `events.py`; `Uplink` in `domain/events.py` says what the fields mean. What can go wrong: gRPC
answers are lost. ChirpStack makes its own queue ids, so the relay finds such a command by its expiry, which is unique
for each try. By MQTT there are no answers: errors stand in ChirpStack's log only.
"""

import logging
import os

# gRPC writes to standard error by itself: its C core unless this is set before the first channel, Python's part by
# logging. Each of its faults is also an answer, which we report in our own words.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
logging.getLogger("grpc").setLevel(logging.CRITICAL)

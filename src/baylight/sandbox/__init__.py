"""Worker processes that run JavaScript codecs, apart from the process that serves a site.

`pool.py` is `ports.CodecEngine`: it sends calls and measures time. `process.py` starts and ends workers. `worker.py` is
the main function of a worker, with limits for memory and time. `walls.py` is what the operating system forbids it, by
`seccomp.py` among others. `engine.py` runs QuickJS inside of it, with one context for each codec; `prelude.js` defines
what codecs expect of their host.

It does not know what an answer means (`codecs/ts013`) or which codec is active (`js_codecs`).

Start with `worker.py`, which describes the frames between the processes. What can go wrong: a codec loops, uses too
much memory or kills its worker. That is a DeviceDataError of its own call; a codec that repeats it is suspended.
"""

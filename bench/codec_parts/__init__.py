"""Parts of `bench/codec.py --folder`: every codec of a folder, in the sandbox's worker and in Node.

`collection` finds the codecs and their calls, `engines` runs them, and `compare` prints what differs. `node.js` runs
them in Node. Start with `compare`.
"""

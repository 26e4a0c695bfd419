"""The live page: static files, and the routes that serve them.

`page.py` serves `index.html`, `live.css`, `icon.svg` and the script from memory, with a strict content security policy.
The script is one module for each part of the page: `stream`, `tiles`, `actuations`, `dialog`; `words` holds the words.
The page calls the API with the key of the person who opens it; the files themselves hold no data and need no key.

There is no template, no session and no rule here. The page shows what `/api/v1` returns.

Start with `live.js`. What can go wrong: the event stream breaks. The page says so, and starts again from a snapshot
when the stream is back.
"""

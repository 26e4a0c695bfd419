"""Rights to change something, and the frame of every change.

`change.py` holds `Change`: connection, actor, time and policies of one change. It opens the transaction, writes the
audit record, and decides the spaces again that the change concerns. Every function of `inventory`, `schedule` and
`js_codecs` that changes something receives it as its first argument. `keys.py` holds API keys and their scopes.
`service_users.py` gives accounts of the database the rights that `baylight serve` needs.

It is not the place of rules about devices or spaces, and it does not know HTTP: `api` reads the key from a request.

Start with `Change.transaction`. A violated constraint leaves it as InputError or ConflictError, in the words of
`store/translate.py`. What can go wrong: a function that writes outside of `transaction` leaves history without actor.
"""

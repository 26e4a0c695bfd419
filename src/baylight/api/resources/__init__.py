"""Routes of what the registry holds and of what happened: one module for each kind of thing."""

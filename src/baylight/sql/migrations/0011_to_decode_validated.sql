-- In a transaction of its own: it reads every row, and no writer waits for it.
ALTER TABLE uplinks VALIDATE CONSTRAINT uplinks_outcome;

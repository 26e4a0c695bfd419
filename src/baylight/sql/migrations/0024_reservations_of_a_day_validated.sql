-- In a transaction of its own: it reads every row, and no other transaction waits for it.
ALTER TABLE reservations VALIDATE CONSTRAINT valid_duration;

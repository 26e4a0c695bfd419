-- In a transaction of its own: it reads every row, and no other transaction waits for it.
ALTER TABLE locations VALIDATE CONSTRAINT locations_change_hold;

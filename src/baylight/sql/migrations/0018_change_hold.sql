ALTER TABLE locations ADD COLUMN change_hold_s smallint;
COMMENT ON COLUMN locations.change_hold_s IS
'seconds that a change of a light waits while the airtime of its gateway is short; null: as the location above, or 0';
ALTER TABLE locations ADD CONSTRAINT locations_change_hold CHECK (change_hold_s BETWEEN 0 AND 60) NOT VALID;

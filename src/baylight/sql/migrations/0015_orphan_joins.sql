-- Joins of unknown devices: one that joins and never sends is listed, too.

ALTER TABLE orphans
ADD COLUMN joins bigint NOT NULL DEFAULT 0,
ADD COLUMN first_join_at timestamptz,
ADD COLUMN last_join_at timestamptz;
COMMENT ON TABLE orphans IS 'inbox: one row per unknown device, whatever it sends; the rest is that of its newest uplink or join';
COMMENT ON COLUMN orphans.first_at IS 'of its first uplink or join; last_at: of its newest one';

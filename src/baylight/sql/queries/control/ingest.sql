-- name: ensure_partition
-- Makes the partition of uplinks for the month of :at, if there is none.
SELECT service_ensure_partition('uplinks', :at);

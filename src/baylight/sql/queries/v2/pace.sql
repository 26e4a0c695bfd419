-- name: look
-- How many sessions wait for a lock of ours (`:pids`), and bytes of the log written, and replayed by the slowest replica.
SELECT (SELECT count(*) FROM pg_stat_activity AS a
        WHERE a.wait_event_type = 'Lock' AND :pids::integer[] && pg_blocking_pids(a.pid) AND a.pid <> ALL(:pids)) AS blocked,
       (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint AS written,
       (SELECT min(replay_lsn) - '0/0'::pg_lsn FROM pg_stat_replication)::bigint AS replayed;

-- name: probe
-- A trivial read: how long it takes shows how the database fares.
SELECT FROM public.spaces LIMIT 1;

-- name: look
-- Number of sessions that wait for locks of `:pids`, and the positions in the log that are written and that the slowest
-- replica has replayed.
SELECT (SELECT count(*) FROM pg_stat_activity AS a
        WHERE a.wait_event_type = 'Lock' AND :pids::integer[] && pg_blocking_pids(a.pid) AND a.pid <> ALL(:pids)
       ) AS blocked,
       (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint AS written,
       (SELECT min(replay_lsn) - '0/0'::pg_lsn FROM pg_stat_replication)::bigint AS replayed;

-- name: probe
-- Trivial read. Its time shows the load of the database.
SELECT FROM public.spaces LIMIT 1;

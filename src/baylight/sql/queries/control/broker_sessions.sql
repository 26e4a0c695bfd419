-- name: filters
-- Topic filters that our session at a broker may have. No row: there never was a session.
SELECT f.topic_filter FROM broker_sessions AS s CROSS JOIN LATERAL unnest(s.filters) AS f (topic_filter)
WHERE s.broker = :broker AND s.client_id = :client_id;

-- name: keep
-- Stores the topic filters that our session at a broker may have.
INSERT INTO broker_sessions (broker, client_id, filters) VALUES (:broker, :client_id, :filters)
ON CONFLICT (broker, client_id) DO UPDATE SET filters = excluded.filters;

-- What operating asks of the shards. System units, but for outgoing_states.

-- name: begin_action
INSERT INTO spaza.operator_action (action_id, began_at, operator, peer, action, queue, request)
VALUES ($1, to_timestamp($2), $3, $4, $5, $6, $7::jsonb)
ON CONFLICT DO NOTHING

-- name: end_action
UPDATE spaza.operator_action SET ended_at = to_timestamp($2), outcome = $3::jsonb WHERE action_id = $1

-- name: read_actions
-- The latest first. $1 at most, $2 before this time or null, $3 queue or null
SELECT action_id, extract(epoch FROM began_at)::float8 AS began_at, operator, peer, action, queue, request::text,
       extract(epoch FROM ended_at)::float8 AS ended_at, outcome::text
FROM spaza.operator_action
WHERE ($2::float8 IS NULL OR began_at < to_timestamp($2)) AND ($3::text IS NULL OR queue = $3)
ORDER BY began_at DESC
LIMIT $1

-- name: forget_actions
-- $1 days kept
DELETE FROM spaza.operator_action WHERE began_at < now() - make_interval(days => $1)

-- name: partitions_seen
-- The partitions that ever had an owner here: messages stay where they ended, however the queue is partitioned now.
SELECT queue, partition FROM spaza.mailbox_owner

-- name: trace_ids
-- The rows of messages, and what became of each. $1 ids of rows, $2 queues, $3 their partitions on this shard
SELECT j.queue, j.partition, j.seq, j.message_id, j.tenant_id, j.key, extract(epoch FROM j.published_at)::float8 AS
       published_at, j.headers, octet_length(j.body) AS size_bytes, s.outcome, s.reason, s.deliveries,
       extract(epoch FROM s.settled_at)::float8 AS settled_at, r.retries, r.deliveries AS lost,
       extract(epoch FROM r.not_before)::float8 AS not_before, r.reason AS retry_reason
FROM unnest($2::text[], $3::integer[]) AS place (queue, partition)
JOIN spaza.journal j ON j.queue = place.queue AND j.partition = place.partition AND j.message_id = ANY ($1::text[])
LEFT JOIN spaza.settlement s ON s.queue = j.queue AND s.partition = j.partition AND s.seq = j.seq
    AND s.published_on = j.published_on
LEFT JOIN spaza.redelivery r ON r.queue = j.queue AND r.partition = j.partition AND r.seq = j.seq
ORDER BY j.queue, j.partition, j.seq
LIMIT 2000

-- name: find_by_header
-- The ids of messages with one of these texts in their headers, published in a span of time: reads the headers of all
-- of that. $1 texts, $2 from, $3 until
SELECT DISTINCT j.message_id
FROM spaza.journal j
WHERE j.published_on BETWEEN (to_timestamp($2) AT TIME ZONE 'UTC')::date AND (to_timestamp($3) AT TIME ZONE 'UTC')::date
  AND j.published_at BETWEEN to_timestamp($2) AND to_timestamp($3)
  AND EXISTS (SELECT FROM unnest($1::bytea[]) AS wanted (text) WHERE position(wanted.text IN j.headers) > 0)
LIMIT 200

-- name: find_dead_by_end
-- The ids of dead letters that end like this, or go on with a colon, settled or not. $1 dead-letter queues, $2 text
SELECT DISTINCT j.message_id
FROM spaza.journal j
WHERE j.queue = ANY ($1::text[])
  AND (split_part(j.message_id, chr(31), 1) LIKE '%:' || $2 OR j.message_id LIKE '%:' || $2 || ':%')
LIMIT 200

-- name: numbers
-- All numbers of merchants that this shard has.
SELECT phone_number_id FROM spaza.tenant_phone

-- name: statuses_of
-- Our ids of the messages that some statuses tell of. $1 ids of rows, $2 queues, $3 their partitions on this shard
SELECT j.body
FROM unnest($2::text[], $3::integer[]) AS place (queue, partition)
JOIN spaza.journal j ON j.queue = place.queue AND j.partition = place.partition AND j.message_id = ANY ($1::text[])
LIMIT 20

-- name: outgoing_states
-- In the tenant's context. $1 ids
SELECT id, state, wamid, extract(epoch FROM state_at)::float8 AS state_at, error_code
FROM {schema}.outgoing_message WHERE id = ANY ($1::text[])

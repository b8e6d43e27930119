-- A changed topology is applied to what waits. Runs as the tables' owner, while no mailbox actor does.

-- name: layout
-- As it was at the last start.
SELECT queue, partition_by, partitions FROM spaza.mailbox_layout

-- name: keep_layout
-- As it is from now on; $4: of no queues but these.
WITH gone AS (
    DELETE FROM spaza.mailbox_layout WHERE $4 AND queue <> ALL ($1::text[])
)
INSERT INTO spaza.mailbox_layout (queue, partition_by, partitions)
SELECT * FROM unnest($1::text[], $2::text[], $3::int[])
ON CONFLICT (queue) DO UPDATE SET partition_by = excluded.partition_by, partitions = excluded.partitions

-- name: waiting
-- Messages of a queue that are not settled, by partition, in this database.
SELECT j.partition, count(*) FROM spaza.journal j
WHERE j.queue = $1 AND j.partition = ANY ($2::int[]) AND NOT EXISTS (
    SELECT FROM spaza.settlement s
    WHERE s.queue = $1 AND s.partition = j.partition AND s.seq = j.seq AND s.published_on = j.published_on)
GROUP BY j.partition

-- name: lock_owner
-- Of a partition, for the transaction.
INSERT INTO spaza.mailbox_owner (queue, partition, epoch, owner, lease_until, low_water, swept_to, clock_s)
VALUES ($1, $2, 0, '', '-infinity', 0, '0', 0)
ON CONFLICT (queue, partition) DO UPDATE SET queue = excluded.queue
RETURNING owner, lease_until > clock_timestamp() AS held, epoch, clock_s, paused

-- name: fence
-- Whoever owned the partition writes no more.
UPDATE spaza.mailbox_owner SET epoch = epoch + 1, owner = '', lease_until = '-infinity'
WHERE queue = $1 AND partition = $2
RETURNING epoch

-- name: pause
-- As the whole queue is paused or not; a partition that is used again may say what was the case long ago.
UPDATE spaza.mailbox_owner SET paused = $3 WHERE queue = $1 AND partition = $2

-- name: fenced
-- Nothing may be moved under any other epoch.
SELECT clock_s FROM spaza.mailbox_owner WHERE queue = $1 AND partition = $2 AND epoch = $3 FOR KEY SHARE

-- name: page
-- What waits in a partition from a seq on, in order, with what is known of its tries.
SELECT j.published_on, j.seq, j.message_id, j.tenant_id, j.key, j.priority, j.published_at, j.clock_s, j.ttl_ms,
       j.headers, j.body, j.checksum, j.seal, r.retries, r.deliveries, r.not_before, r.deferred_s, r.reason
FROM spaza.journal j
LEFT JOIN LATERAL (
    SELECT known.* FROM spaza.redelivery known
    WHERE known.queue = $1 AND known.partition = $2 AND known.seq = j.seq OFFSET 0) AS r ON true
WHERE j.queue = $1 AND j.partition = $2 AND j.seq > $3 AND NOT EXISTS (
    SELECT FROM spaza.settlement s
    WHERE s.queue = $1 AND s.partition = $2 AND s.seq = j.seq AND s.published_on = j.published_on OFFSET 0)
ORDER BY j.seq
LIMIT $4

-- name: next_seq
-- No seq of a partition is as high, nor will the sequence give one that was given.
SELECT greatest((SELECT coalesce(max(seq), 0) FROM spaza.journal WHERE queue = $1 AND partition = $2) + 1,
                (SELECT low_water FROM spaza.mailbox_owner WHERE queue = $1 AND partition = $2),
                nextval('spaza.journal_seq'))

-- name: advance_sequence
-- The sequence goes on above what was given.
SELECT setval('spaza.journal_seq', greatest($1::bigint, nextval('spaza.journal_seq')))

-- name: highest
-- The highest seq of a queue in this database.
SELECT coalesce(max(seq), 0) FROM spaza.journal WHERE queue = $1

-- name: insert
-- A message in its new partition. It may be there: from a move that was interrupted, or from before it was moved away.
INSERT INTO spaza.journal (published_on, queue, partition, seq, message_id, tenant_id, key, priority, published_at,
                           clock_s, ttl_ms, headers, body, checksum, seal, transactional)
VALUES ($3, $1, $2, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, false)
ON CONFLICT DO NOTHING
RETURNING seq

-- name: come_back
-- A message that was moved away from here waits here again, under its old seq.
WITH again AS (
    DELETE FROM spaza.settlement s USING spaza.journal j
    WHERE j.queue = $1 AND j.partition = $2 AND j.message_id = $3 AND j.published_on = $4
      AND s.queue = $1 AND s.partition = $2 AND s.seq = j.seq AND s.published_on = $4 AND s.outcome = 'moved'
    RETURNING s.seq
), lowered AS (
    UPDATE spaza.mailbox_owner SET low_water = least(low_water, (SELECT min(seq) FROM again))
    WHERE queue = $1 AND partition = $2 AND EXISTS (SELECT FROM again)
)
SELECT seq FROM again

-- name: remember
-- The tries of a message that was moved.
INSERT INTO spaza.redelivery (queue, partition, seq, retries, deliveries, not_before, deferred_s, reason)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (queue, partition, seq) DO UPDATE SET retries = excluded.retries, deliveries = excluded.deliveries,
    not_before = excluded.not_before, deferred_s = excluded.deferred_s, reason = excluded.reason

-- name: settle
-- The messages wait in another partition.
INSERT INTO spaza.settlement (published_on, queue, partition, seq, outcome, reason, deliveries)
SELECT moved.day, $1, $2, moved.seq, 'moved', $5, 0 FROM unnest($3::date[], $4::bigint[]) AS moved (day, seq)
ON CONFLICT DO NOTHING

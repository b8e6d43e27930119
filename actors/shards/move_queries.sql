-- name: try_lock
-- One at a time moves or migrates a tenant; until this session ends, however it does.
SELECT pg_try_advisory_lock(hashtextextended('spaza migration ' || $1, 0))

-- name: sees_rows
-- Whether this role sees the rows that the tenants' role sees.
SELECT pg_has_role(current_user, 'spaza_app', 'USAGE')

-- name: see_rows
-- Who owns the tables and is no superuser comes under their policies as well, and is to pass those of a tenant.
GRANT spaza_app TO CURRENT_USER

-- name: act_for
-- For this session, which nobody else uses.
SELECT set_config('app.current_tenant', $1, false)

-- name: tables
-- The tables of a schema: columns that are written, in an order of their own; the primary key; whether others refer to
-- it; and to which it refers.
SELECT c.relname::text AS name,
       (SELECT array_agg(a.attname::text ORDER BY a.attname) FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '') AS columns,
       (SELECT array_agg(a.attname::text ORDER BY a.attname) FROM pg_index i
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey::smallint[])
        WHERE i.indrelid = c.oid AND i.indisprimary) AS key,
       EXISTS (SELECT FROM pg_constraint k WHERE k.confrelid = c.oid AND k.contype = 'f') AS referenced,
       ARRAY(SELECT p.relname::text FROM pg_constraint k JOIN pg_class p ON p.oid = k.confrelid
             WHERE k.conrelid = c.oid AND k.contype = 'f' AND k.confrelid <> c.oid ORDER BY 1) AS parents
FROM pg_class c
WHERE c.relnamespace = to_regnamespace($1) AND c.relkind IN ('r', 'p') AND NOT c.relispartition
ORDER BY c.relname

-- name: sequences
SELECT relname::text FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind = 'S' ORDER BY 1

-- name: version
SELECT version FROM spaza.schema_version WHERE scope = $1

-- name: horizon
-- What was written by transactions below it is seen by this transaction's snapshot.
SELECT (pg_snapshot_xmin(pg_current_snapshot())::text::numeric % 4294967296)::text

-- name: units_under_way
-- Transactions that read or write tables of a schema; the upkeep of the tables by the server is none.
SELECT count(DISTINCT (l.virtualtransaction, l.pid)) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
WHERE l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND c.relnamespace = to_regnamespace($1) AND c.relkind IN ('r', 'p') AND l.granted AND l.pid <> pg_backend_pid()
  AND l.mode IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock')

-- name: forget_version
DELETE FROM spaza.schema_version WHERE scope = $1

-- name: forget_inbound
DELETE FROM spaza.inbound_message WHERE tenant_id = $1

-- name: waiting_messages
-- How many messages of a tenant wait in some queues of this shard, 10,001 at most.
SELECT count(*) FROM (
    SELECT FROM spaza.journal j
    WHERE j.queue = ANY ($1::text[]) AND j.partition = $2 AND j.tenant_id = $3 AND NOT EXISTS (
        SELECT FROM spaza.settlement s
        WHERE s.queue = j.queue AND s.partition = j.partition AND s.seq = j.seq AND s.published_on = j.published_on)
    LIMIT 10001
) AS waiting

-- name: lock_partitions
-- What their owner has under way ends first, and what it begins waits until this transaction ends.
SELECT queue, clock_s FROM spaza.mailbox_owner WHERE queue = ANY ($1::text[]) AND partition = $2
ORDER BY queue FOR UPDATE

-- name: take_partitions
-- Whoever owns these partitions writes no more, and reads them anew.
UPDATE spaza.mailbox_owner SET epoch = epoch + 1, owner = '', lease_until = '-infinity'
WHERE queue = ANY ($1::text[]) AND partition = $2

-- name: clocks
SELECT queue, clock_s FROM spaza.mailbox_owner WHERE queue = ANY ($1::text[]) AND partition = $2

-- name: messages
-- What waits of a tenant in some queues of this shard, in order, with what is known of its tries.
SELECT j.queue, j.published_on, j.seq, j.message_id, j.key, j.priority, j.published_at, j.clock_s, j.ttl_ms, j.headers,
       j.body, j.checksum, r.retries, r.deliveries, r.not_before, r.deferred_s, r.reason
FROM spaza.journal j
LEFT JOIN spaza.redelivery r ON r.queue = j.queue AND r.partition = j.partition AND r.seq = j.seq
WHERE j.queue = ANY ($1::text[]) AND j.partition = $2 AND j.tenant_id = $3 AND NOT EXISTS (
    SELECT FROM spaza.settlement s
    WHERE s.queue = j.queue AND s.partition = j.partition AND s.seq = j.seq AND s.published_on = j.published_on)
ORDER BY j.queue, j.seq

-- name: insert_messages
-- Behind what is there, in their order, as if a unit had published them. One that is there already is left alone.
-- $1 partition, $2 tenant, then columns
INSERT INTO spaza.journal (partition, tenant_id, queue, published_on, message_id, key, priority, published_at, clock_s,
                           ttl_ms, headers, body, checksum, transactional)
SELECT $1, $2, given.queue, given.published_on, given.message_id, given.key, given.priority, given.published_at,
       given.clock_s, given.ttl_ms, given.headers, given.body, given.checksum, true
FROM unnest($3::text[], $4::date[], $5::text[], $6::text[], $7::smallint[], $8::timestamptz[], $9::float8[], $10::int[],
            $11::bytea[], $12::bytea[], $13::int[]) WITH ORDINALITY
     AS given (queue, published_on, message_id, key, priority, published_at, clock_s, ttl_ms, headers, body, checksum,
               position)
ORDER BY given.position
ON CONFLICT DO NOTHING
RETURNING queue, published_on, message_id, seq

-- name: come_back
-- Messages that were moved away from here earlier wait here again, under their old seqs.
-- $1 partition, $2 queues, $3 days, $4 ids
WITH again AS (
    DELETE FROM spaza.settlement s
    USING spaza.journal j, unnest($2::text[], $3::date[], $4::text[]) AS given (queue, published_on, message_id)
    WHERE j.queue = given.queue AND j.partition = $1 AND j.message_id = given.message_id
      AND j.published_on = given.published_on AND s.queue = j.queue AND s.partition = $1 AND s.seq = j.seq
      AND s.published_on = j.published_on AND s.outcome = 'moved'
    RETURNING s.queue, s.published_on, j.message_id, s.seq
), lowered AS (
    UPDATE spaza.mailbox_owner o
    SET low_water = least(o.low_water, of_queue.seq), epoch = epoch + 1, owner = '', lease_until = '-infinity'
    FROM (SELECT queue, min(seq) AS seq FROM again GROUP BY queue) AS of_queue
    WHERE o.queue = of_queue.queue AND o.partition = $1
)
SELECT queue, published_on, message_id, seq FROM again

-- name: remember_tries
-- $1 partition, then columns
INSERT INTO spaza.redelivery (partition, queue, seq, retries, deliveries, not_before, deferred_s, reason)
SELECT $1, given.queue, given.seq, given.retries, given.deliveries, given.not_before, given.deferred_s, given.reason
FROM unnest($2::text[], $3::bigint[], $4::int[], $5::int[], $6::timestamptz[], $7::float8[], $8::text[])
     AS given (queue, seq, retries, deliveries, not_before, deferred_s, reason)
ON CONFLICT (queue, partition, seq) DO UPDATE SET retries = excluded.retries, deliveries = excluded.deliveries,
    not_before = excluded.not_before, deferred_s = excluded.deferred_s, reason = excluded.reason

-- name: settle_moved
-- $1 partition, $2 where to, $3 days, $4 queues, $5 seqs
INSERT INTO spaza.settlement (partition, outcome, reason, deliveries, published_on, queue, seq)
SELECT $1, 'moved', $2, 0, given.published_on, given.queue, given.seq
FROM unnest($3::date[], $4::text[], $5::bigint[]) AS given (published_on, queue, seq)
ON CONFLICT DO NOTHING

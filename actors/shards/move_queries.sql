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

-- name: triggers
-- That run when rows of the schema are written.
SELECT c.relname || '.' || t.tgname AS name
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE c.relnamespace = to_regnamespace($1) AND NOT t.tgisinternal AND t.tgenabled <> 'D'
ORDER BY 1

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
-- How many messages of a tenant wait in a queue of this shard, 10,001 at most. See below for what is read.
SELECT count(*) FROM (
    SELECT FROM spaza.journal j
    WHERE j.queue = $1 AND j.partition = $2 AND j.tenant_id = $3
      AND j.seq >= coalesce((SELECT low_water FROM spaza.mailbox_owner WHERE queue = $1 AND partition = $2), 0)
      AND NOT EXISTS (
        SELECT FROM spaza.settlement s
        WHERE s.queue = $1 AND s.partition = $2 AND s.seq = j.seq AND s.published_on = j.published_on)
    LIMIT 10001
) AS waiting

-- name: lock_partition
-- What its owner has under way ends first, and what it begins waits until this transaction ends.
SELECT clock_s FROM spaza.mailbox_owner WHERE queue = $1 AND partition = $2 FOR UPDATE

-- name: take_partition
-- Whoever owns it writes no more, and reads it anew.
UPDATE spaza.mailbox_owner SET epoch = epoch + 1, owner = '', lease_until = '-infinity'
WHERE queue = $1 AND partition = $2

-- name: clock
SELECT clock_s FROM spaza.mailbox_owner WHERE queue = $1 AND partition = $2

-- name: messages
-- What waits of a tenant in a queue of this shard, in order, with what is known of its tries. Below the low water mark of
-- the partition's owner all is settled, but for what was published by transactions that its sweep has not seen to end.
WITH owner AS MATERIALIZED (
    SELECT low_water, swept_to FROM spaza.mailbox_owner WHERE queue = $1 AND partition = $2
    UNION ALL SELECT 0, '0' WHERE NOT EXISTS (SELECT FROM spaza.mailbox_owner WHERE queue = $1 AND partition = $2)
), found AS (
    SELECT j.* FROM spaza.journal j
    WHERE j.queue = $1 AND j.partition = $2 AND j.tenant_id = $3 AND j.seq >= (SELECT low_water FROM owner)
    UNION ALL
    SELECT j.* FROM spaza.journal j
    WHERE j.queue = $1 AND j.partition = $2 AND j.tenant_id = $3 AND j.transactional
      AND j.txid >= (SELECT swept_to FROM owner) AND j.seq < (SELECT low_water FROM owner)
)
SELECT j.queue, j.published_on, j.seq, j.message_id, j.key, j.priority, j.published_at, j.clock_s, j.ttl_ms, j.headers,
       j.body, j.checksum, j.seal, r.retries, r.deliveries, r.not_before, r.deferred_s, r.reason
FROM found j
LEFT JOIN spaza.redelivery r ON r.queue = $1 AND r.partition = $2 AND r.seq = j.seq
WHERE NOT EXISTS (
    SELECT FROM spaza.settlement s
    WHERE s.queue = $1 AND s.partition = $2 AND s.seq = j.seq AND s.published_on = j.published_on)
ORDER BY j.seq

-- name: insert_messages
-- Behind what is there, in their order, as if a unit had published them. One that is there already is left alone.
-- $1 queue, $2 partition, $3 tenant, then columns
INSERT INTO spaza.journal (queue, partition, tenant_id, published_on, message_id, key, priority, published_at, clock_s,
                           ttl_ms, headers, body, checksum, seal, transactional)
SELECT $1, $2, $3, given.published_on, given.message_id, given.key, given.priority, given.published_at,
       given.clock_s, given.ttl_ms, given.headers, given.body, given.checksum, given.seal, true
FROM unnest($4::date[], $5::text[], $6::text[], $7::smallint[], $8::timestamptz[], $9::float8[], $10::int[],
            $11::bytea[], $12::bytea[], $13::int[], $14::int[]) WITH ORDINALITY
     AS given (published_on, message_id, key, priority, published_at, clock_s, ttl_ms, headers, body, checksum, seal,
         position)
ORDER BY given.position
ON CONFLICT DO NOTHING
RETURNING published_on, message_id, seq

-- name: where_they_are
-- Messages that are in a partition already, whatever became of them. $1 queue, $2 partition, $3 ids, $4 days
SELECT published_on, message_id, seq FROM spaza.journal
WHERE queue = $1 AND partition = $2 AND message_id = ANY ($3::text[]) AND published_on = ANY ($4::date[])

-- name: come_back
-- Those that were moved away from here earlier wait here again, under their old seqs. $3 seqs, $4 days
DELETE FROM spaza.settlement
WHERE queue = $1 AND partition = $2 AND seq = ANY ($3::bigint[]) AND published_on = ANY ($4::date[])
  AND outcome = 'moved'
RETURNING seq

-- name: lower_water
-- Whoever owns the partition reads it anew, from there.
UPDATE spaza.mailbox_owner
SET low_water = least(low_water, $3), epoch = epoch + 1, owner = '', lease_until = '-infinity'
WHERE queue = $1 AND partition = $2

-- name: remember_tries
-- Those of which none is known may have been under way for the first time. $1 queue, $2 partition, then columns
INSERT INTO spaza.redelivery (queue, partition, seq, retries, deliveries, not_before, deferred_s, reason)
SELECT $1, $2, given.seq, coalesce(given.retries, 0), coalesce(given.deliveries, 0),
       coalesce(given.not_before, to_timestamp(0)), coalesce(given.deferred_s, 0), coalesce(given.reason, 'moved')
FROM unnest($3::bigint[], $4::int[], $5::int[], $6::timestamptz[], $7::float8[], $8::text[])
     AS given (seq, retries, deliveries, not_before, deferred_s, reason)
ON CONFLICT (queue, partition, seq) DO UPDATE SET retries = excluded.retries, deliveries = excluded.deliveries,
    not_before = excluded.not_before, deferred_s = excluded.deferred_s, reason = excluded.reason

-- name: settle_moved
-- $1 queue, $2 partition, $3 where to, $4 days, $5 seqs
INSERT INTO spaza.settlement (queue, partition, outcome, reason, deliveries, published_on, seq)
SELECT $1, $2, 'moved', $3, 0, given.published_on, given.seq
FROM unnest($4::date[], $5::bigint[]) AS given (published_on, seq)
ON CONFLICT DO NOTHING

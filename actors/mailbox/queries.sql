-- What the mailbox asks of its journal. Days are days since 1970-01-01, times Unix seconds.

-- name: publish_transactional
-- Rows of a unit of work in its own transaction, under its own role. What is there already is left alone.
-- The end of a WITH, of the unit's own or begun for this; then its parameters are counted on from the unit's.
-- $1 partition, $2 queues, $3 to $13 columns, $14 stamps of the queues
published AS (
    INSERT INTO spaza.journal (published_on, queue, partition, message_id, tenant_id, key, priority, published_at,
                               ttl_ms, headers, body, checksum, seal, transactional)
    SELECT DATE '1970-01-01' + given.day, bound.queue, $1, given.id, given.tenant, given.key, given.priority,
           to_timestamp(given.published_at), given.ttl_ms, given.headers, given.body, given.checksum,
           given.seal # bound.stamp, true
    FROM unnest($2::text[], $14::int[]) WITH ORDINALITY AS bound (queue, stamp, place),
         unnest($3::int[], $4::text[], $5::text[], $6::text[], $7::smallint[], $8::float8[], $9::int[], $10::bytea[],
                $11::bytea[], $12::int[], $13::int[]) WITH ORDINALITY
         AS given (day, id, tenant, key, priority, published_at, ttl_ms, headers, body, checksum, seal, position)
    ORDER BY bound.place, given.position
    ON CONFLICT DO NOTHING
    RETURNING queue, message_id, seq
)
SELECT queue, message_id, seq FROM published

-- name: dead_letter_without_owner
-- Dead letters of which the owner of their queue does not know. It is no transactional row: nobody sweeps for it.
INSERT INTO spaza.journal (published_on, queue, partition, message_id, tenant_id, key, priority, published_at, ttl_ms,
                           headers, body, checksum, seal, transactional)
SELECT DATE '1970-01-01' + given.day, $1, $2, given.id, given.tenant, given.key, given.priority,
       to_timestamp(given.published_at), given.ttl_ms, given.headers, given.body, given.checksum, given.seal, false
FROM unnest($3::int[], $4::text[], $5::text[], $6::text[], $7::smallint[], $8::float8[], $9::int[], $10::bytea[],
            $11::bytea[], $12::int[], $13::int[])
     AS given (day, id, tenant, key, priority, published_at, ttl_ms, headers, body, checksum, seal)
ON CONFLICT DO NOTHING

-- name: settled_letters
-- Those of some dead letters of whose name there is one that is settled, by their place, with that one's headers. The
-- order by the id has the index by ids chosen, see load_ids.
SELECT given.place, known.headers
FROM unnest($3::int[], $4::text[]) WITH ORDINALITY AS given (day, id, place),
     LATERAL (SELECT j.headers FROM spaza.journal j
              WHERE j.queue = $1 AND j.partition = $2 AND j.message_id BETWEEN given.id AND given.id
                AND j.published_on = DATE '1970-01-01' + given.day AND EXISTS (
                  SELECT FROM spaza.settlement s
                  WHERE s.queue = $1 AND s.partition = $2 AND s.seq = j.seq AND s.published_on = j.published_on
                  OFFSET 0)
              ORDER BY j.message_id OFFSET 0) AS known

-- name: flush
-- A batch of appends and settlements in one commit, and nothing at all unless the epoch is the owner's. The lock lets
-- flushes run beside each other and makes a takeover wait for them.
-- Messages have their seqs in the order in which they are given, but are inserted in the order of their ids: two flushes
-- with the same ids, of publishers that repeat themselves, wait for each other instead of both.
WITH owner AS MATERIALIZED (
    SELECT 1 FROM spaza.mailbox_owner WHERE queue = $1 AND partition = $2 AND epoch = $3 FOR KEY SHARE
), appended AS (
    INSERT INTO spaza.journal (published_on, queue, partition, seq, message_id, tenant_id, key, priority, published_at,
                               clock_s, ttl_ms, headers, body, checksum, seal, transactional)
    SELECT DATE '1970-01-01' + day, $1, $2, drawn, id, tenant, key, priority, to_timestamp(published_at), $4, ttl_ms,
           headers, body, checksum, seal, false
    FROM (SELECT given.*, coalesce(given.seq, nextval('spaza.journal_seq')) AS drawn
          FROM owner, unnest($5::bigint[], $6::int[], $7::text[], $8::text[], $9::text[], $10::smallint[],
                             $11::float8[], $12::int[], $13::bytea[], $14::bytea[], $15::int[], $16::int[])
               AS given (seq, day, id, tenant, key, priority, published_at, ttl_ms, headers, body, checksum, seal)) AS numbered
    ORDER BY id COLLATE "C", drawn
    ON CONFLICT DO NOTHING
    RETURNING message_id, seq
), settled AS (
    INSERT INTO spaza.settlement (published_on, queue, partition, seq, outcome, reason, deliveries)
    SELECT DATE '1970-01-01' + given.day, $1, $2, given.seq, given.outcome, given.reason, given.deliveries
    FROM owner, unnest($17::int[], $18::bigint[], $19::text[], $20::text[], $21::int[])
         AS given (day, seq, outcome, reason, deliveries)
    ON CONFLICT DO NOTHING
)
SELECT (SELECT count(*) FROM owner) AS held,
       ARRAY(SELECT message_id FROM appended) AS ids,
       ARRAY(SELECT seq FROM appended) AS seqs

-- name: flush_whole
-- The same with dead letters and settlements whose queue is given, and retries. And nothing at all where a dead letter
-- of the same name is settled: the insert would pass the new one over. Such are told of, with the others' headers.
WITH owner AS MATERIALIZED (
    SELECT 1 FROM spaza.mailbox_owner WHERE queue = $1 AND partition = $2 AND epoch = $3 FOR KEY SHARE
), taken AS MATERIALIZED (
    SELECT given.place, known.headers
    FROM owner, unnest($6::text[], $7::int[], $8::text[]) WITH ORDINALITY AS given (queue, day, id, place),
         LATERAL (SELECT j.headers FROM spaza.journal j
                  WHERE j.queue = given.queue AND j.partition = $2 AND j.message_id BETWEEN given.id AND given.id
                    AND j.published_on = DATE '1970-01-01' + given.day AND EXISTS (
                      SELECT FROM spaza.settlement s
                      WHERE s.queue = j.queue AND s.partition = $2 AND s.seq = j.seq
                        AND s.published_on = j.published_on
                      OFFSET 0)
                  ORDER BY j.message_id OFFSET 0) AS known
    WHERE given.queue <> $1
), writer AS MATERIALIZED (
    SELECT 1 FROM owner WHERE NOT EXISTS (SELECT FROM taken)
), appended AS (
    INSERT INTO spaza.journal (published_on, queue, partition, seq, message_id, tenant_id, key, priority, published_at,
                               clock_s, ttl_ms, headers, body, checksum, seal, transactional)
    SELECT DATE '1970-01-01' + day, queue, $2, drawn, id, tenant, key, priority, to_timestamp(published_at), $4, ttl_ms,
           headers, body, checksum, seal, false
    FROM (SELECT given.*, coalesce(given.seq, nextval('spaza.journal_seq')) AS drawn
          FROM writer, unnest($5::bigint[], $6::text[], $7::int[], $8::text[], $9::text[], $10::text[], $11::smallint[],
                             $12::float8[], $13::int[], $14::bytea[], $15::bytea[], $16::int[], $17::int[])
               AS given (seq, queue, day, id, tenant, key, priority, published_at, ttl_ms, headers, body, checksum, seal))
         AS numbered
    ORDER BY queue COLLATE "C", id COLLATE "C", drawn
    ON CONFLICT DO NOTHING
    RETURNING queue, message_id, seq
), settled AS (
    INSERT INTO spaza.settlement (published_on, queue, partition, seq, outcome, reason, deliveries)
    SELECT DATE '1970-01-01' + given.day, given.queue, $2, given.seq, given.outcome, given.reason, given.deliveries
    FROM writer, unnest($18::int[], $19::bigint[], $20::text[], $21::text[], $22::int[], $29::text[])
         AS given (day, seq, outcome, reason, deliveries, queue)
    ON CONFLICT DO NOTHING
), retried AS (
    INSERT INTO spaza.redelivery AS known (queue, partition, seq, retries, deliveries, not_before, deferred_s, reason)
    SELECT $1, $2, given.seq, given.retries, given.deliveries, to_timestamp(given.not_before), given.deferred_s,
           given.reason
    FROM writer, unnest($23::bigint[], $24::int[], $25::int[], $26::float8[], $27::float8[], $28::text[])
         AS given (seq, retries, deliveries, not_before, deferred_s, reason)
    ORDER BY given.seq
    ON CONFLICT (queue, partition, seq) DO UPDATE
    SET retries = excluded.retries, deliveries = excluded.deliveries, not_before = excluded.not_before,
        deferred_s = excluded.deferred_s, reason = excluded.reason
)
SELECT (SELECT count(*) FROM owner) AS held,
       ARRAY(SELECT message_id FROM appended WHERE queue = $1) AS ids,
       ARRAY(SELECT seq FROM appended WHERE queue = $1) AS seqs,
       (SELECT count(*) FROM appended WHERE queue <> $1) AS dead,
       ARRAY(SELECT place FROM taken ORDER BY place) AS taken,
       ARRAY(SELECT headers FROM taken ORDER BY place) AS taken_headers

-- name: declare_owner
-- The row of a partition that nobody has owned yet.
INSERT INTO spaza.mailbox_owner (queue, partition, epoch, owner, lease_until, low_water, swept_to, clock_s)
VALUES ($1, $2, 0, '', now(), 0, '0', 0)
ON CONFLICT DO NOTHING

-- name: lock_owner
-- Waits for the flushes under way; until the commit no other can begin.
SELECT epoch, owner, lease_until < clock_timestamp() AS lapsed FROM spaza.mailbox_owner
WHERE queue = $1 AND partition = $2
FOR UPDATE

-- name: take_ownership
-- After lock_owner, in the same transaction.
UPDATE spaza.mailbox_owner
SET epoch = epoch + 1, owner = $3, lease_until = clock_timestamp() + make_interval(secs => $4)
WHERE queue = $1 AND partition = $2
RETURNING epoch, low_water, swept_to::text, clock_s, paused

-- name: release_ownership
-- Hand over: the lease lapses at once.
UPDATE spaza.mailbox_owner
SET lease_until = now(), low_water = $4, swept_to = coalesce($5::text::xid8, swept_to), clock_s = $6
WHERE queue = $1 AND partition = $2 AND epoch = $3

-- name: tick
-- Renews the lease where $4 says so; if a takeover came first, which the statement's snapshot may not know yet, it is
-- not held any longer. Lists the transactional rows that the snapshot $10 had not seen, and counts by tenant those that
-- the snapshot $11 had not: of transactions that were running then or began after it. A lower seq that commits late is
-- among them. Each is looked up in its index by its transaction, so that one that runs for long, anywhere in the cluster,
-- has nobody read again what was published beside it.
WITH asynchronously AS MATERIALIZED (
    SELECT set_config('synchronous_commit', 'off', true)
), renewed AS (
    UPDATE spaza.mailbox_owner
    SET lease_until = clock_timestamp() + make_interval(secs => $5), low_water = $6,
        swept_to = coalesce($7::text::xid8, swept_to), clock_s = $8
    FROM asynchronously
    WHERE $4 AND queue = $1 AND partition = $2 AND epoch = $3
    RETURNING 1
), appeared AS MATERIALIZED (
    SELECT tenant_id, count(*) AS messages FROM (
        SELECT tenant_id FROM spaza.journal
        WHERE queue = $1 AND partition = $2 AND transactional
          AND txid >= pg_snapshot_xmax(nullif($11, '')::pg_snapshot)
        UNION ALL
        SELECT tenant_id FROM spaza.journal
        WHERE queue = $1 AND partition = $2 AND transactional
          AND txid = ANY (ARRAY(SELECT pg_snapshot_xip(nullif($11, '')::pg_snapshot)))
    ) AS unseen
    GROUP BY tenant_id
), listed AS MATERIALIZED (
    SELECT seq FROM spaza.journal
    WHERE queue = $1 AND partition = $2 AND transactional AND txid >= pg_snapshot_xmax($10::text::pg_snapshot)
    UNION ALL
    SELECT seq FROM spaza.journal
    WHERE queue = $1 AND partition = $2 AND transactional
      AND txid = ANY (ARRAY(SELECT pg_snapshot_xip($10::text::pg_snapshot)))
)
SELECT CASE WHEN $4 THEN EXISTS (SELECT FROM renewed)
            ELSE EXISTS (SELECT FROM spaza.mailbox_owner WHERE queue = $1 AND partition = $2 AND epoch = $3)
       END AS held,
       pg_snapshot_xmin(pg_current_snapshot())::text AS swept_to,
       ARRAY(SELECT seq FROM listed WHERE seq < $9 ORDER BY seq) AS seqs,
       pg_current_snapshot()::text AS snapshot,
       ARRAY(SELECT tenant_id FROM appeared ORDER BY tenant_id) AS tenants,
       ARRAY(SELECT messages FROM appeared ORDER BY tenant_id) AS messages

-- name: load
-- What waits from a seq on, in order, until so many bytes of bodies are full. Reads no body to know its size.
-- OFFSET 0 keeps what is looked up by its key from being joined: where there are no statistics a join would read all
-- that is settled or was tried once for each row.
WITH page AS (
    SELECT j.message_id, j.key, j.tenant_id, j.body, j.headers, extract(epoch FROM j.published_at)::float8 AS published_at,
           j.priority, j.ttl_ms, j.seq, j.checksum, j.clock_s, r.retries, r.deliveries,
           extract(epoch FROM r.not_before)::float8 AS not_before, r.deferred_s,
           CASE WHEN isfinite(j.published_on) THEN j.published_on - DATE '1970-01-01' ELSE 0 END AS day, j.seal
    FROM spaza.journal j
    LEFT JOIN LATERAL (
        SELECT known.* FROM spaza.redelivery known
        WHERE known.queue = $1 AND known.partition = $2 AND known.seq = j.seq OFFSET 0) AS r ON true
    WHERE j.queue = $1 AND j.partition = $2 AND j.seq >= $3 AND NOT EXISTS (
        SELECT FROM spaza.settlement s
        WHERE s.queue = $1 AND s.partition = $2 AND s.seq = j.seq AND s.published_on = j.published_on OFFSET 0)
    ORDER BY j.seq
    LIMIT $4
)
SELECT page.* FROM (
    SELECT page.*, sum(octet_length(body)) OVER (ORDER BY seq ROWS UNBOUNDED PRECEDING) - octet_length(body) AS before
    FROM page
) AS page
WHERE before < $5
ORDER BY seq

-- name: load_seqs
-- Those of certain seqs that wait, until so many bytes are full.
WITH page AS (
    SELECT j.message_id, j.key, j.tenant_id, j.body, j.headers, extract(epoch FROM j.published_at)::float8 AS published_at,
           j.priority, j.ttl_ms, j.seq, j.checksum, j.clock_s, r.retries, r.deliveries,
           extract(epoch FROM r.not_before)::float8 AS not_before, r.deferred_s,
           CASE WHEN isfinite(j.published_on) THEN j.published_on - DATE '1970-01-01' ELSE 0 END AS day, j.seal
    FROM spaza.journal j
    LEFT JOIN LATERAL (
        SELECT known.* FROM spaza.redelivery known
        WHERE known.queue = $1 AND known.partition = $2 AND known.seq = j.seq OFFSET 0) AS r ON true
    WHERE j.queue = $1 AND j.partition = $2 AND j.seq = ANY ($3::bigint[]) AND NOT EXISTS (
        SELECT FROM spaza.settlement s
        WHERE s.queue = $1 AND s.partition = $2 AND s.seq = j.seq AND s.published_on = j.published_on OFFSET 0)
    ORDER BY j.seq
)
SELECT page.* FROM (
    SELECT page.*, sum(octet_length(body)) OVER (ORDER BY seq ROWS UNBOUNDED PRECEDING) - octet_length(body) AS before
    FROM page
) AS page
WHERE before < $4
ORDER BY seq

-- name: load_expired
-- Those from a seq on that have a time to live of their own, by when that ends on the age clock, and by seq: after such
-- a place, up to a reading, until so many bytes are full. At most so many rows are walked, settled ones as well, which
-- is what bounds it. The first columns are null where none of them waits; the last say where the walk has ended.
WITH walked AS MATERIALIZED (
    SELECT j.message_id, j.key, j.tenant_id, j.body, j.headers,
           extract(epoch FROM j.published_at)::float8 AS published_at, j.priority, j.ttl_ms, j.seq, j.checksum,
           j.clock_s, j.published_on, j.seal, j.clock_s + j.ttl_ms / 1000::float8 AS ends_s
    FROM spaza.journal j
    WHERE j.queue = $1 AND j.partition = $2 AND j.ttl_ms IS NOT NULL
      AND (j.clock_s + j.ttl_ms / 1000::float8, j.seq) > ($4::float8, $5::bigint)
      AND j.clock_s + j.ttl_ms / 1000::float8 <= $6
    ORDER BY j.clock_s + j.ttl_ms / 1000::float8, j.seq
    LIMIT $7
), page AS (
    SELECT j.message_id, j.key, j.tenant_id, j.body, j.headers, j.published_at, j.priority, j.ttl_ms, j.seq, j.checksum,
           j.clock_s, r.retries, r.deliveries, extract(epoch FROM r.not_before)::float8 AS not_before, r.deferred_s,
           CASE WHEN isfinite(j.published_on) THEN j.published_on - DATE '1970-01-01' ELSE 0 END AS day, j.seal, j.ends_s,
           sum(octet_length(j.body)) OVER (ORDER BY j.ends_s, j.seq ROWS UNBOUNDED PRECEDING) - octet_length(j.body)
               AS before
    FROM walked j
    LEFT JOIN LATERAL (
        SELECT known.* FROM spaza.redelivery known
        WHERE known.queue = $1 AND known.partition = $2 AND known.seq = j.seq OFFSET 0) AS r ON true
    WHERE j.seq >= $3 AND NOT EXISTS (
        SELECT FROM spaza.settlement s
        WHERE s.queue = $1 AND s.partition = $2 AND s.seq = j.seq AND s.published_on = j.published_on OFFSET 0)
), last AS (
    SELECT ends_s, seq FROM walked ORDER BY ends_s DESC, seq DESC LIMIT 1
)
SELECT page.*, last.ends_s AS last_ends_s, last.seq AS last_seq, (SELECT count(*) FROM walked) AS walked,
       (SELECT count(*) FROM page) AS waiting
FROM last LEFT JOIN page ON page.before < $8
ORDER BY page.ends_s, page.seq

-- name: load_ids
-- Those of certain message ids that wait. The order has the index by ids chosen, and no other of the queue, also where
-- all seem as good because there was nothing yet.
SELECT j.message_id, j.key, j.tenant_id, j.body, j.headers, extract(epoch FROM j.published_at)::float8, j.priority,
       j.ttl_ms, j.seq, j.checksum, j.clock_s, r.retries, r.deliveries, extract(epoch FROM r.not_before)::float8,
       r.deferred_s, CASE WHEN isfinite(j.published_on) THEN j.published_on - DATE '1970-01-01' ELSE 0 END AS day, j.seal
FROM (SELECT DISTINCT id FROM unnest($3::text[]) AS given (id)) AS given
CROSS JOIN LATERAL (
    SELECT one.* FROM spaza.journal one
    WHERE one.queue = $1 AND one.partition = $2 AND one.message_id BETWEEN given.id AND given.id
    ORDER BY one.message_id OFFSET 0) AS j
LEFT JOIN LATERAL (
    SELECT known.* FROM spaza.redelivery known
    WHERE known.queue = $1 AND known.partition = $2 AND known.seq = j.seq OFFSET 0) AS r ON true
WHERE NOT EXISTS (
    SELECT FROM spaza.settlement s
    WHERE s.queue = $1 AND s.partition = $2 AND s.seq = j.seq AND s.published_on = j.published_on OFFSET 0)
ORDER BY j.seq

-- name: highest
-- The highest seq that is kept in a partition: the last entry of an index of each day.
SELECT coalesce(max(seq), 0) FROM spaza.journal WHERE queue = $1 AND partition = $2

-- name: count
-- What waits in a partition by tenant: from the low water mark on, what may have come late below it, and what is being
-- settled, whether or not it is already. Reads as much as there is.
WITH waiting AS (
    SELECT j.tenant_id FROM spaza.journal j
    WHERE j.queue = $1 AND j.partition = $2 AND j.seq >= $3 AND NOT EXISTS (
        SELECT FROM spaza.settlement s
        WHERE s.queue = $1 AND s.partition = $2 AND s.seq = j.seq AND s.published_on = j.published_on)
    UNION ALL
    SELECT j.tenant_id FROM spaza.journal j
    WHERE j.queue = $1 AND j.partition = $2 AND j.transactional AND j.txid >= $4::text::xid8 AND j.seq < $3
      AND NOT EXISTS (
        SELECT FROM spaza.settlement s
        WHERE s.queue = $1 AND s.partition = $2 AND s.seq = j.seq AND s.published_on = j.published_on)
    UNION ALL
    SELECT j.tenant_id FROM spaza.journal j
    WHERE j.queue = $1 AND j.partition = $2 AND j.seq = ANY ($5::bigint[]) AND EXISTS (
        SELECT FROM spaza.settlement s
        WHERE s.queue = $1 AND s.partition = $2 AND s.seq = j.seq AND s.published_on = j.published_on)
), tenants AS MATERIALIZED (
    SELECT tenant_id, count(*) AS messages FROM waiting GROUP BY tenant_id
)
SELECT ARRAY(SELECT tenant_id FROM tenants ORDER BY tenant_id) AS tenants,
       ARRAY(SELECT messages FROM tenants ORDER BY tenant_id) AS messages,
       pg_current_snapshot()::text AS snapshot

-- name: snapshot
-- Which transactions are seen.
SELECT pg_current_snapshot()::text

-- name: dead_letters
-- How many dead letters of a partition are not settled. Reads as much as there is.
SELECT count(*) FROM spaza.journal j
WHERE j.queue = $1 AND j.partition = $2 AND NOT EXISTS (
    SELECT FROM spaza.settlement s
    WHERE s.queue = $1 AND s.partition = $2 AND s.seq = j.seq AND s.published_on = j.published_on)

-- name: take_time
-- For maintenance, on a connection of its own.
SELECT set_config('statement_timeout', $1, false)

-- name: maintain
-- Make partitions for the coming days, and away with the oldest of those of long ago.
SELECT made, dropped FROM spaza.maintain_mailbox($1, $2, (now() AT TIME ZONE 'UTC')::date)

-- name: clean
-- Away with what was kept of days of long ago and is settled since.
SELECT spaza.clean_mailbox($1, (now() AT TIME ZONE 'UTC')::date)

-- name: analyze
-- Statistics for those tables that have rows and no statistics.
SELECT spaza.analyze_mailbox()

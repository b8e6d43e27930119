-- What operators ask of a partition's journal. Times are Unix seconds. The queue is a queue or its dead-letter queue.
--
-- Headers are read as text, for what some consumer wrote there need not be JSON that PostgreSQL takes. A reason with
-- other than ASCII letters in it is found by nothing but its cause.

-- name: peek
-- $1 queue, $2 partition, $3 after this seq, $4 at most, $5 bytes of the body; then the selection: $6 tenant, $7 key,
-- $8 since, $9 until, $10 ids, $11 reason, $12 other than these reasons, $13 not redriven then or later
SELECT j.message_id, j.key, j.tenant_id, substring(j.body FOR $5), j.headers,
       extract(epoch FROM j.published_at)::float8, j.priority, j.ttl_ms, j.seq, octet_length(j.body),
       coalesce(r.retries, 0), coalesce(r.deliveries, 0), coalesce(extract(epoch FROM r.not_before)::float8, 0),
       CASE WHEN isfinite(j.published_on) THEN j.published_on - DATE '1970-01-01' ELSE 0 END AS day
FROM spaza.journal j
LEFT JOIN LATERAL (
    SELECT known.* FROM spaza.redelivery known
    WHERE known.queue = $1 AND known.partition = $2 AND known.seq = j.seq OFFSET 0) AS r ON true
CROSS JOIN LATERAL (SELECT encode(j.headers, 'escape') AS text) AS headers
CROSS JOIN LATERAL (
    SELECT coalesce(substring(headers.text FROM '"x-last-death-reason":"([^"]*)"'), '') AS cause,
           coalesce(substring(headers.text FROM '"x-death-detail":"([^"]*)"'), '') AS detail,
           coalesce(substring(headers.text FROM '"x-redriven-at":([0-9]{1,15})')::bigint, 0) AS redriven_at
) AS death
WHERE j.queue = $1 AND j.partition = $2 AND j.seq > $3
  AND ($6::text IS NULL OR j.tenant_id = $6)
  AND ($7::text IS NULL OR j.key = $7)
  AND ($8::float8 IS NULL OR j.published_at >= to_timestamp($8))
  AND ($9::float8 IS NULL OR j.published_at < to_timestamp($9))
  AND ($10::text[] IS NULL OR split_part(j.message_id, chr(31), 1) = ANY ($10))
  AND ($11::text IS NULL OR $11 IN (death.cause, death.detail, split_part(death.detail, ':', 1)))
  AND NOT (ARRAY[death.cause, death.detail, split_part(death.detail, ':', 1)] && $12::text[])
  AND ($13::bigint IS NULL OR death.redriven_at < $13)
  AND NOT EXISTS (
    SELECT FROM spaza.settlement s
    WHERE s.queue = $1 AND s.partition = $2 AND s.seq = j.seq AND s.published_on = j.published_on OFFSET 0)
ORDER BY j.seq
LIMIT $4

-- name: tally
-- How many there are, by tenant and reason; the selection as in peek, from $3 on.
SELECT j.tenant_id, death.cause, death.detail, count(*), extract(epoch FROM min(j.published_at))::float8
FROM spaza.journal j
CROSS JOIN LATERAL (SELECT encode(j.headers, 'escape') AS text) AS headers
CROSS JOIN LATERAL (
    SELECT coalesce(substring(headers.text FROM '"x-last-death-reason":"([^"]*)"'), '') AS cause,
           coalesce(substring(headers.text FROM '"x-death-detail":"([^"]*)"'), '') AS detail,
           coalesce(substring(headers.text FROM '"x-redriven-at":([0-9]{1,15})')::bigint, 0) AS redriven_at
) AS death
WHERE j.queue = $1 AND j.partition = $2
  AND ($3::text IS NULL OR j.tenant_id = $3)
  AND ($4::text IS NULL OR j.key = $4)
  AND ($5::float8 IS NULL OR j.published_at >= to_timestamp($5))
  AND ($6::float8 IS NULL OR j.published_at < to_timestamp($6))
  AND ($7::text[] IS NULL OR split_part(j.message_id, chr(31), 1) = ANY ($7))
  AND ($8::text IS NULL OR $8 IN (death.cause, death.detail, split_part(death.detail, ':', 1)))
  AND NOT (ARRAY[death.cause, death.detail, split_part(death.detail, ':', 1)] && $9::text[])
  AND ($10::bigint IS NULL OR death.redriven_at < $10)
  AND NOT EXISTS (
    SELECT FROM spaza.settlement s
    WHERE s.queue = $1 AND s.partition = $2 AND s.seq = j.seq AND s.published_on = j.published_on)
GROUP BY 1, 2, 3
ORDER BY 4 DESC, 1, 2, 3

-- name: tally_tenants
-- What waits by tenant alone: reads no headers. $1 queue, $2 partition, $3 tenant, $4 key, $5 since, $6 until, $7 ids
SELECT j.tenant_id, '', '', count(*), extract(epoch FROM min(j.published_at))::float8
FROM spaza.journal j
WHERE j.queue = $1 AND j.partition = $2
  AND ($3::text IS NULL OR j.tenant_id = $3)
  AND ($4::text IS NULL OR j.key = $4)
  AND ($5::float8 IS NULL OR j.published_at >= to_timestamp($5))
  AND ($6::float8 IS NULL OR j.published_at < to_timestamp($6))
  AND ($7::text[] IS NULL OR split_part(j.message_id, chr(31), 1) = ANY ($7))
  AND NOT EXISTS (
    SELECT FROM spaza.settlement s
    WHERE s.queue = $1 AND s.partition = $2 AND s.seq = j.seq AND s.published_on = j.published_on)
GROUP BY 1
ORDER BY 4 DESC, 1

-- name: pause
-- Whether the partition's messages are delivered; says whether the epoch is the owner's.
UPDATE spaza.mailbox_owner SET paused = $4 WHERE queue = $1 AND partition = $2 AND epoch = $3
RETURNING true

-- name: look_up
-- $1 ids
SELECT id, rank, wamid, marked_at, state = 'resent' AS resent
FROM {schema}.outgoing_message WHERE id = ANY ($1::text[])

-- name: mark
-- Remember from when on messages may have been sent, once for the first send and once for the second.
-- $1 ids, $2 now, $3 whether for the second. Returns the ids that are marked now.
UPDATE {schema}.outgoing_message SET marked_at = $2, state = CASE WHEN $3 THEN 'resent' ELSE state END
WHERE id = ANY ($1::text[]) AND rank = 0 AND state <> 'resent' AND ($3 OR marked_at IS NULL)
RETURNING id

-- name: record_accepted
-- Record the wamids that Meta gave, and what statuses without our id told of them before. The unit holds the locks of
-- the wamids, so that it sees the statuses of who held them before.
-- $1 ids, $2 wamids, $3 now
WITH given AS MATERIALIZED (
    SELECT * FROM unnest($1::text[], $2::text[]) AS given (id, wamid)
), highest AS (
    SELECT given.id, given.wamid, told.state, told.rank, told.at, told.error_code
    FROM given CROSS JOIN LATERAL (
        SELECT 'accepted' AS state, 1::smallint AS rank, $3::timestamptz AS at, NULL::integer AS error_code
        UNION ALL
        SELECT status.state, status.rank, status.at, status.error_code
        FROM {schema}.message_status AS status
        WHERE status.wamid = given.wamid AND status.rank > 1
        ORDER BY rank DESC, at DESC
        LIMIT 1
    ) AS told
)
UPDATE {schema}.outgoing_message AS message SET
    wamid = highest.wamid,
    state = CASE WHEN message.rank < highest.rank THEN highest.state ELSE message.state END,
    state_at = CASE WHEN message.rank < highest.rank THEN highest.at ELSE message.state_at END,
    -- At rank 0 it is of a dead letter, which has been sent since.
    error_code = CASE WHEN message.rank = 0 THEN highest.error_code
                      WHEN message.rank < highest.rank THEN coalesce(message.error_code, highest.error_code)
                      ELSE message.error_code END,
    rank = greatest(message.rank, highest.rank)
FROM highest
-- The first wamid stays, and moves by what is told of it alone.
WHERE message.id = highest.id
  AND (message.wamid IS NULL OR (message.wamid = highest.wamid AND message.rank < highest.rank))

-- name: record_failed
-- A dead letter, which has a reason, keeps its rank, for it may be sent later; its marks are over.
-- $1 ids, $2 reasons or '', $3 Meta's error codes or null, $4 now
UPDATE {schema}.outgoing_message AS message SET
    state = CASE WHEN given.reason = '' THEN 'failed' ELSE 'failed:' || given.reason END,
    rank = CASE WHEN given.reason = '' THEN 3 ELSE message.rank END,
    marked_at = CASE WHEN given.reason = '' THEN message.marked_at END,
    state_at = $4, error_code = given.error_code
FROM unnest($1::text[], $2::text[], $3::integer[]) AS given (id, reason, error_code)
WHERE message.id = given.id AND message.rank < CASE WHEN given.reason = '' THEN 3 ELSE 1 END

-- name: unmark
-- After a second send that did not take place the first is in doubt still.
-- $1 ids of messages that were provably not sent
UPDATE {schema}.outgoing_message SET
    marked_at = CASE WHEN state = 'resent' THEN marked_at END,
    state = CASE WHEN state = 'resent' THEN 'queued' ELSE state END
WHERE id = ANY ($1::text[]) AND rank = 0 AND marked_at IS NOT NULL

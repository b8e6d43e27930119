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
-- Record the wamids that Meta gave, and wait for who is just keeping a status of one of them without our id.
-- $1 ids, $2 wamids, $3 now
WITH given AS MATERIALIZED (
    SELECT * FROM unnest($1::text[], $2::text[]) AS given (id, wamid)
), recorded AS (
    UPDATE {schema}.outgoing_message AS message SET
        wamid = coalesce(message.wamid, given.wamid),
        state = CASE WHEN message.rank < 1 THEN 'accepted' ELSE message.state END,
        state_at = CASE WHEN message.rank < 1 THEN $3 ELSE message.state_at END,
        -- It has one if it was a dead letter before.
        error_code = CASE WHEN message.rank < 1 THEN NULL ELSE message.error_code END,
        rank = greatest(message.rank, 1)
    FROM given
    WHERE message.id = given.id
)
SELECT pg_advisory_xact_lock(hashtextextended(wamid, 0))
FROM (SELECT DISTINCT wamid FROM given ORDER BY wamid) AS named

-- name: apply_early_statuses
-- Statuses that came before their wamid was known.
-- $1 wamids
WITH highest AS (
    SELECT DISTINCT ON (wamid) wamid, state, rank, at, error_code
    FROM {schema}.message_status
    WHERE wamid = ANY ($1::text[]) AND rank > 1
    ORDER BY wamid, rank DESC, at DESC
)
UPDATE {schema}.outgoing_message AS message SET
    state = highest.state, rank = highest.rank, state_at = highest.at,
    error_code = coalesce(message.error_code, highest.error_code)
FROM highest
WHERE message.wamid = highest.wamid AND message.rank < highest.rank

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

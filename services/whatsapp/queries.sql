-- name: receive
-- Record inbound messages and read the conversations of those who wrote, which stay locked until the end.
-- Returns a row for each message that is new (fresh), and a row for each conversation.
-- $1 ids, $2 Meta's times, $3 kinds, $4 bodies, $5 tenant, $6 now, $7 user ids, $8 phones
WITH fresh AS (
    INSERT INTO spaza.inbound_message (tenant_id, message_id, sent_at, kind, body, received_at)
    SELECT $5, given.message_id, given.sent_at, given.kind, given.body, $6
    FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::bytea[]) AS given (message_id, sent_at, kind, body)
    -- Two batches that share messages take them in the same order and cannot block each other.
    ORDER BY given.message_id, given.sent_at
    ON CONFLICT DO NOTHING
    RETURNING message_id, sent_at
), known AS (
    SELECT id, user_id, phone, name, stage, last_inbound_at, merged_into
    FROM {schema}.conversation
    WHERE user_id = ANY ($7::text[]) OR phone = ANY ($8::text[])
    ORDER BY id
    FOR UPDATE
)
SELECT true AS fresh, message_id AS id, sent_at AS at,
       NULL::text AS user_id, NULL::text AS phone, NULL::text AS name, NULL::text AS stage, NULL::text AS merged_into
FROM fresh
UNION ALL
SELECT false, id, last_inbound_at, user_id, phone, name, stage, merged_into FROM known

-- name: converse
-- Write the conversations as they stand now, and the messages that go out, which are published with it.
-- $1 ids, $2 user ids, $3 phones, $4 names, $5 stages, $6 last inbound, $7 merged into, $8 now,
-- $9 outgoing ids, $10 their conversations, $11 their numbers, $12 their payloads
WITH written AS (
    INSERT INTO {schema}.conversation AS conversation
        (id, user_id, phone, name, stage, last_inbound_at, merged_into, created_at, updated_at)
    SELECT id, user_id, phone, name, stage, last_inbound_at, merged_into, $8, $8
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::text[])
        WITH ORDINALITY AS given (id, user_id, phone, name, stage, last_inbound_at, merged_into, place)
    -- Who gives up a phone comes first.
    ORDER BY place
    ON CONFLICT (id) DO UPDATE SET
        user_id = EXCLUDED.user_id, phone = EXCLUDED.phone, name = EXCLUDED.name, stage = EXCLUDED.stage,
        last_inbound_at = EXCLUDED.last_inbound_at, merged_into = EXCLUDED.merged_into, updated_at = $8
), queued AS (
    INSERT INTO {schema}.outgoing_message (id, conversation_id, phone_number_id, payload, state_at, created_at)
    SELECT id, conversation_id, phone_number_id, payload::jsonb, $8, $8
    FROM unnest($9::text[], $10::text[], $11::text[], $12::text[])
        AS given (id, conversation_id, phone_number_id, payload)
)
{publish}

-- name: keep_statuses
-- Keep statuses, and move the messages up to the highest rank that they tell, by our own id first, else by wamid. The
-- unit holds the locks of the wamids of those without our id, so that it sees the messages of who held them before.
-- $1 wamids, $2 states, $3 participants, $4 ranks, $5 times, $6 our ids, $7 error codes, $8 bodies, $9 now.
-- Returns how many statuses met no message.
WITH given AS MATERIALIZED (
    SELECT * FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::smallint[], $5::timestamptz[], $6::text[], $7::integer[], $8::bytea[]
    ) AS given (wamid, state, participant, rank, at, message_id, error_code, body)
), kept AS (
    INSERT INTO {schema}.message_status AS status
        (wamid, state, participant, rank, at, message_id, error_code, body, received_at)
    SELECT DISTINCT ON (wamid, state, participant) wamid, state, participant, rank, at, message_id, error_code, body, $9
    FROM given
    ORDER BY wamid, state, participant, at DESC
    ON CONFLICT (wamid, state, participant) DO UPDATE SET at = EXCLUDED.at, body = EXCLUDED.body
    WHERE status.at < EXCLUDED.at
), matched AS MATERIALIZED (
    SELECT coalesce(ours.id, theirs.id) AS id, given.wamid, given.state, given.rank, given.at, given.error_code
    FROM given
    LEFT JOIN {schema}.outgoing_message AS ours ON ours.id = given.message_id
    LEFT JOIN {schema}.outgoing_message AS theirs ON ours.id IS NULL AND theirs.wamid = given.wamid
    WHERE given.rank >= 0
), highest AS (
    SELECT DISTINCT ON (id) * FROM matched WHERE id IS NOT NULL ORDER BY id, rank DESC, at DESC
), moved AS (
    UPDATE {schema}.outgoing_message AS message SET
        state = CASE WHEN message.rank < highest.rank THEN highest.state ELSE message.state END,
        state_at = CASE WHEN message.rank < highest.rank THEN highest.at ELSE message.state_at END,
        rank = greatest(message.rank, highest.rank),
        -- At rank 0 it is of a dead letter, which has been sent since.
        error_code = CASE WHEN message.rank = 0 THEN highest.error_code
                          ELSE coalesce(message.error_code, highest.error_code) END,
        wamid = coalesce(message.wamid, highest.wamid)
    FROM highest
    WHERE message.id = highest.id AND (message.rank < highest.rank OR message.wamid IS NULL)
)
SELECT count(*) FILTER (WHERE id IS NULL) AS unmatched FROM matched

-- name: keep_platform_events
-- $1 ids, $2 WhatsApp Business Accounts, $3 fields, $4 times, $5 bodies, $6 now
INSERT INTO spaza.platform_event (event_id, waba_id, field, occurred_at, body, received_at)
SELECT event_id, waba_id, field, occurred_at, body, $6
FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::bytea[])
    AS given (event_id, waba_id, field, occurred_at, body)
ORDER BY event_id, occurred_at
ON CONFLICT DO NOTHING

-- name: maintain
-- Partitions of the coming weeks made and of old ones dropped, and old rows that stood in no week of their own removed.
-- $1 weeks ahead, $2 days kept
SELECT made, dropped, removed FROM spaza.maintain_inbound($1, $2, (now() AT TIME ZONE 'UTC')::date)

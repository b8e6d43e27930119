-- name: find_phones
-- Whose these numbers are. On the shard of each number.
SELECT phone_number_id, tenant_id, display_phone_number
FROM spaza.tenant_phone
WHERE phone_number_id = ANY($1::text[])

-- name: find_placements
-- Where these tenants live. On the shard of each tenant's id; a tenant that is not whole yet has no row.
SELECT tenant_id, name, shard, epoch, state, limit_minute, limit_hour, route_limits::text
FROM spaza.tenant_placement
WHERE tenant_id = ANY($1::text[])

-- name: read_profile
-- What the way of a message needs to know of a tenant. In its context, on the shard where it lives.
SELECT latitude, longitude, access_token_sealed, waba_id, catalog_id
FROM {schema}.profile

-- name: find_credentials
-- Those of these credentials that there are. On the shard of each kid; an expiry is in seconds since 1970.
SELECT kid, tenant_id, algorithm, secret_sealed, extract(epoch FROM expires_at)::float8 AS expires_at,
       extract(epoch FROM created_at)::float8 AS created_at
FROM spaza.tenant_credential
WHERE kid = ANY($1::text[])

-- name: names_of
-- What of this shard points to a tenant: numbers and credentials.
SELECT 'number' AS kind, phone_number_id AS name FROM spaza.tenant_phone WHERE tenant_id = $1
UNION ALL
SELECT 'kid', kid FROM spaza.tenant_credential WHERE tenant_id = $1

-- name: claim_request
-- The first to come with an idempotency key decides the tenant's id and the credential. A day after it was completed, or
-- asked and never completed, the key is free again: for another request, and with $7 for the same one too.
INSERT INTO spaza.tenant_request AS held (idempotency_key, tenant_id, fingerprint, kind, kid, secret_sealed)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (idempotency_key) DO UPDATE
SET tenant_id = excluded.tenant_id, fingerprint = excluded.fingerprint, kind = excluded.kind, kid = excluded.kid,
    secret_sealed = excluded.secret_sealed, requested_at = now(), completed_at = NULL, removed_at = NULL
WHERE coalesce(held.completed_at, held.requested_at) < now() - interval '24 hours'
      AND (held.fingerprint <> excluded.fingerprint OR $7)
   OR held.removed_at < now() - interval '24 hours'

-- name: read_request
-- The secret is given for a day after the request was completed.
SELECT tenant_id, fingerprint, kid,
       CASE WHEN coalesce(completed_at, now()) > now() - interval '24 hours' THEN secret_sealed END AS secret_sealed,
       extract(epoch FROM requested_at)::float8 AS requested_at, removed_at IS NOT NULL AS removed
FROM spaza.tenant_request
WHERE idempotency_key = $1

-- name: complete_request
UPDATE spaza.tenant_request
SET completed_at = now()
WHERE idempotency_key = $1 AND tenant_id = $2 AND completed_at IS NULL

-- name: claim_phone
-- Hold a number for a tenant that is being made. A claim that nobody completed lapses; then $5 may lose it, of whom the
-- caller knows that it was never placed. What such a one had confirmed dates from before placements came first.
INSERT INTO spaza.tenant_phone AS held (phone_number_id, tenant_id, display_phone_number, claimed_until)
VALUES ($1, $2, $3, now() + make_interval(secs => $4))
ON CONFLICT (phone_number_id) DO UPDATE
SET tenant_id = excluded.tenant_id,
    display_phone_number = excluded.display_phone_number,
    claimed_until = CASE WHEN held.tenant_id = excluded.tenant_id AND held.claimed_until IS NULL THEN NULL
                         ELSE excluded.claimed_until END
WHERE held.tenant_id = excluded.tenant_id
   OR held.tenant_id = $5 AND coalesce(held.claimed_until, '-infinity') < now()
RETURNING phone_number_id

-- name: confirm_phone
-- From here on the number is the tenant's for good; after the placement. No row: another took it over.
UPDATE spaza.tenant_phone
SET claimed_until = NULL
WHERE phone_number_id = $1 AND tenant_id = $2
RETURNING phone_number_id

-- name: release_phone
-- Give up a claim that was not confirmed.
DELETE FROM spaza.tenant_phone
WHERE phone_number_id = $1 AND tenant_id = $2 AND claimed_until IS NOT NULL

-- name: write_credential
INSERT INTO spaza.tenant_credential (kid, tenant_id, algorithm, secret_sealed)
VALUES ($1, $2, $3, $4)
ON CONFLICT (kid) DO NOTHING

-- name: withdraw_credential
-- Of a tenant that was not made after all.
DELETE FROM spaza.tenant_credential
WHERE kid = $1 AND tenant_id = $2

-- name: write_profile
INSERT INTO {schema}.profile
    (name, latitude, longitude, access_token_sealed, waba_id, catalog_id, paystack_sealed, ozow_sealed)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (tenant_id) DO UPDATE
SET name = excluded.name, latitude = excluded.latitude, longitude = excluded.longitude,
    access_token_sealed = excluded.access_token_sealed, waba_id = excluded.waba_id,
    catalog_id = excluded.catalog_id, paystack_sealed = excluded.paystack_sealed,
    ozow_sealed = excluded.ozow_sealed, updated_at = now()

-- name: place_tenant
-- The last step of making a tenant: with this row it is there for everybody.
INSERT INTO spaza.tenant_placement
    (tenant_id, name, shard, limit_minute, limit_hour, phone_numbers, kids, request_key)
VALUES ($1, $2, $3, $4, $5, $6::text[], $7::text[], $8)
ON CONFLICT (tenant_id) DO NOTHING

-- name: read_tenants
-- All that a placement says of these tenants. On the shard of each tenant's id; times are seconds since 1970.
SELECT tenant_id, name, shard, epoch, state, limit_minute, limit_hour, route_limits::text AS route_limits, phone_numbers, kids,
       extract(epoch FROM placed_at)::float8 AS placed_at, extract(epoch FROM changed_at)::float8 AS changed_at
FROM spaza.tenant_placement
WHERE tenant_id = ANY($1::text[])

-- name: list_tenants
-- The tenants whose placement is on this shard; with $1 also those that were removed.
SELECT tenant_id, name, shard, epoch, state, limit_minute, limit_hour, route_limits::text AS route_limits, phone_numbers, kids,
       extract(epoch FROM placed_at)::float8 AS placed_at, extract(epoch FROM changed_at)::float8 AS changed_at
FROM spaza.tenant_placement
WHERE state <> 'removed' OR $1

-- name: set_state
-- A tenant that is being moved goes nowhere else.
UPDATE spaza.tenant_placement
SET state = $2, changed_at = now()
WHERE tenant_id = $1 AND state = ANY($3::text[]) AND ($2 <> 'dropping' OR move_to IS NULL)
RETURNING tenant_id

-- name: lock_limits
SELECT limit_minute, limit_hour, route_limits::text
FROM spaza.tenant_placement
WHERE tenant_id = $1 AND state = ANY($2::text[])
FOR UPDATE

-- name: set_limits
UPDATE spaza.tenant_placement
SET limit_minute = $2, limit_hour = $3, route_limits = $4::jsonb, changed_at = now()
WHERE tenant_id = $1

-- name: read_moves
-- The tenants whose placement is on this shard and that are being moved, or were when their mover died; or these.
SELECT tenant_id, shard, epoch, state, move_from, move_to, move_step, move_token
FROM spaza.tenant_placement
WHERE tenant_id = ANY($1::text[]) OR ($1::text[] IS NULL AND move_to IS NOT NULL)

-- name: begin_move
UPDATE spaza.tenant_placement
SET move_from = $2, move_to = $3, move_step = 'copying', move_token = $4, move_since = now()
WHERE tenant_id = $1 AND shard = $2 AND move_to IS NULL AND state = ANY($5::text[])
RETURNING tenant_id

-- name: take_move
-- Who began it is gone, and changes nothing any more.
UPDATE spaza.tenant_placement
SET move_token = $3
WHERE tenant_id = $1 AND move_token = $2
RETURNING move_step

-- name: flip_move
-- From here on the tenant lives on its new shard.
UPDATE spaza.tenant_placement
SET shard = move_to, epoch = epoch + 1, move_step = 'flipped', changed_at = now()
WHERE tenant_id = $1 AND move_token = $2 AND move_step = 'copying' AND state IN ('active', 'suspended', 'removing')
RETURNING epoch

-- name: undo_move
-- From here on it cannot be flipped.
UPDATE spaza.tenant_placement
SET move_step = 'undoing'
WHERE tenant_id = $1 AND move_token = $2 AND move_step IN ('copying', 'undoing')
RETURNING tenant_id

-- name: end_move
UPDATE spaza.tenant_placement
SET move_from = NULL, move_to = NULL, move_step = NULL, move_token = NULL, move_since = NULL
WHERE tenant_id = $1 AND move_token = $2

-- name: read_details
-- What is shown of a tenant's profile, and which payment gateways it has. In its context.
SELECT latitude, longitude, waba_id, catalog_id, paystack_sealed IS NOT NULL AS paystack, ozow_sealed IS NOT NULL AS ozow
FROM {schema}.profile

-- name: add_kid
-- The latest first, once. A tenant that is being removed gets none.
UPDATE spaza.tenant_placement
SET kids = CASE WHEN $2 = ANY(kids) THEN kids ELSE array_prepend($2, kids) END, changed_at = now()
WHERE tenant_id = $1 AND state = ANY($3::text[])
RETURNING kids

-- name: drop_kids
UPDATE spaza.tenant_placement
SET kids = (SELECT coalesce(array_agg(kid ORDER BY place), '{}')
            FROM unnest(kids) WITH ORDINALITY AS listed (kid, place) WHERE kid <> ALL($2::text[]))
WHERE tenant_id = $1

-- name: retire_credentials
-- Let these expire, but none later than it does already. A time in seconds since 1970.
UPDATE spaza.tenant_credential
SET expires_at = least(expires_at, to_timestamp($2))
WHERE kid = ANY($1::text[])
RETURNING kid, extract(epoch FROM expires_at)::float8 AS expires_at

-- name: forget_names
-- What of this shard points to a tenant that was removed goes; its requests are not answered any more.
WITH numbers AS (
    DELETE FROM spaza.tenant_phone WHERE tenant_id = $1
), credentials AS (
    DELETE FROM spaza.tenant_credential WHERE tenant_id = $1
)
UPDATE spaza.tenant_request
SET removed_at = coalesce(removed_at, now()), completed_at = coalesce(completed_at, now()), secret_sealed = NULL
WHERE tenant_id = $1

-- name: bury_tenant
-- What is left keeps a late repeat of its making from bringing it back.
UPDATE spaza.tenant_placement
SET state = 'removed', name = '', phone_numbers = '{}', kids = '{}', request_key = '', changed_at = now()
WHERE tenant_id = $1 AND state IN ('dropping', 'removed')

-- name: forget_old
-- Secrets whose day of being answered is over, credentials that have expired, and what was left of removed tenants, of
-- rotations and of requests that nobody completed, after a month.
WITH expired AS (
    DELETE FROM spaza.tenant_credential WHERE expires_at < now() - interval '1 day'
), buried AS (
    DELETE FROM spaza.tenant_placement WHERE state = 'removed' AND changed_at < now() - interval '30 days'
), over AS (
    DELETE FROM spaza.tenant_request
    WHERE removed_at < now() - interval '30 days'
       OR kind = 'rotate' AND completed_at < now() - interval '30 days'
       OR kid IS NOT NULL AND completed_at IS NULL AND requested_at < now() - interval '30 days'
)
UPDATE spaza.tenant_request
SET secret_sealed = NULL
WHERE secret_sealed IS NOT NULL AND completed_at < now() - interval '24 hours'
  AND NOT (kind = 'rotate' AND completed_at < now() - interval '30 days')

-- name: read_sealed_names
-- What of this shard is sealed under another key than that with which $1 begins, behind the one of kind $2 and name $3.
SELECT * FROM (
    SELECT 'credential' AS kind, kid AS name, tenant_id, kid, secret_sealed
    FROM spaza.tenant_credential
    WHERE NOT starts_with(secret_sealed, $1)
    UNION ALL
    SELECT 'request', idempotency_key, tenant_id, kid, secret_sealed
    FROM spaza.tenant_request
    WHERE NOT starts_with(secret_sealed, $1)
) AS one
WHERE (kind, name) > ($2, $3)
ORDER BY kind, name
LIMIT $4

-- name: reseal_names
-- Each only if it is still what was read.
WITH given AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS one (kind, name, before, after)
), credentials AS (
    UPDATE spaza.tenant_credential AS held
    SET secret_sealed = given.after
    FROM given
    WHERE given.kind = 'credential' AND held.kid = given.name AND held.secret_sealed = given.before
)
UPDATE spaza.tenant_request AS held
SET secret_sealed = given.after
FROM given
WHERE given.kind = 'request' AND held.idempotency_key = given.name AND held.secret_sealed = given.before

-- name: read_sealed_profile
SELECT access_token_sealed, paystack_sealed, ozow_sealed
FROM {schema}.profile

-- name: reseal_profile
UPDATE {schema}.profile
SET access_token_sealed = $4, paystack_sealed = $5, ozow_sealed = $6
WHERE access_token_sealed = $1 AND paystack_sealed IS NOT DISTINCT FROM $2 AND ozow_sealed IS NOT DISTINCT FROM $3

-- name: find_phones
-- Whose these numbers are. On the shard of each number.
SELECT phone_number_id, tenant_id, display_phone_number
FROM spaza.tenant_phone
WHERE phone_number_id = ANY($1::text[])

-- name: find_placements
-- Where these tenants live. On the shard of each tenant's id; a tenant that is not whole yet has no row.
SELECT tenant_id, name, shard, epoch, state, limit_minute, limit_hour
FROM spaza.tenant_placement
WHERE tenant_id = ANY($1::text[])

-- name: read_profile
-- What the way of a message needs to know of a tenant. In its context, on the shard where it lives.
SELECT latitude, longitude, access_token_sealed, waba_id, catalog_id
FROM {schema}.profile

-- name: claim_request
-- The first to come with an idempotency key decides the tenant's id.
INSERT INTO spaza.tenant_request (idempotency_key, tenant_id, fingerprint)
VALUES ($1, $2, $3)
ON CONFLICT (idempotency_key) DO NOTHING

-- name: read_request
SELECT tenant_id, fingerprint
FROM spaza.tenant_request
WHERE idempotency_key = $1

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

-- name: write_profile
INSERT INTO {schema}.profile (name, latitude, longitude, access_token_sealed, waba_id, catalog_id)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (tenant_id) DO UPDATE
SET name = excluded.name, latitude = excluded.latitude, longitude = excluded.longitude,
    access_token_sealed = excluded.access_token_sealed, waba_id = excluded.waba_id,
    catalog_id = excluded.catalog_id, updated_at = now()

-- name: place_tenant
-- The last step of making a tenant: with this row it is there for everybody.
INSERT INTO spaza.tenant_placement (tenant_id, name, shard, limit_minute, limit_hour)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (tenant_id) DO NOTHING

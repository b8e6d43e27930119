-- name: find
-- On which shards these tenants are to be found now. On the shard of each tenant's id.
SELECT tenant_id, shard FROM spaza.tenant_placement WHERE tenant_id = ANY($1::text[])

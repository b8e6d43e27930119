-- name: keep_register
-- Which migrations a shard has released, with the text that was applied. Written by the owner alone.
CREATE TABLE IF NOT EXISTS spaza.schema_migration (
    folder      text NOT NULL CHECK (folder IN ('shared', 'tenant')),
    number      integer NOT NULL,
    name        text NOT NULL,
    checksum    text NOT NULL,
    sql         text NOT NULL,
    released_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (folder, number)
)

-- name: is_there
-- Whether the database was set up, and whether it keeps a register yet.
SELECT to_regclass('spaza.schema_version') IS NOT NULL AS set_up,
       to_regclass('spaza.schema_migration') IS NOT NULL AS registers

-- name: version
SELECT version FROM spaza.schema_version WHERE scope = $1

-- name: schema_is_there
SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1)

-- name: versions
-- How far the shared tables and each tenant's schema have come. A row whose schema is gone counts for nothing.
SELECT v.scope, v.version
FROM spaza.schema_version v JOIN pg_catalog.pg_namespace n ON n.nspname = v.scope
ORDER BY v.scope

-- name: record_version
INSERT INTO spaza.schema_version (scope, version) VALUES ($1, $2)
ON CONFLICT (scope) DO UPDATE SET version = excluded.version, migrated_at = now()

-- name: checksums
SELECT folder, number, name, checksum FROM spaza.schema_migration ORDER BY folder, number

-- name: released
SELECT number, name, sql FROM spaza.schema_migration WHERE folder = $1 ORDER BY number

-- name: release
-- A text that no schema has got yet may still be replaced; who calls has made sure of that.
INSERT INTO spaza.schema_migration AS kept (folder, number, name, checksum, sql) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (folder, number) DO UPDATE
SET name = excluded.name, checksum = excluded.checksum, sql = excluded.sql, released_at = now()
WHERE (kept.name, kept.checksum) <> (excluded.name, excluded.checksum)

-- name: lock_scope
-- One at a time migrates a schema.
SELECT pg_advisory_xact_lock(hashtextextended('spaza migration ' || $1, 0))

-- name: lock_register
-- Who releases waits until all who make a schema have ended, and they for who releases; so no new schema is missed.
SELECT pg_advisory_xact_lock(hashtextextended('spaza release', 0))

-- name: share_register
SELECT pg_advisory_xact_lock_shared(hashtextextended('spaza release', 0))

-- name: known_state
-- What is set for the session, by whoever: a file says all that it needs, and finds nothing that another has left. In a
-- transaction, for nothing is found without its schema in it. Settings that the connection came with stay.
RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL; DISCARD TEMP; SET LOCAL search_path = ''

-- name: refuse_open_tables
-- Fails where a table of {schema} shows rows to whoever has no tenant, or another's: each of a tenant's schema, and of
-- the shared ones those that name tenants. By pg_depend, for pg_class has no index by schema and would be read whole.
DO $open$
DECLARE
    found text;
BEGIN
    WITH held AS (
        SELECT c.oid, c.relname, c.relrowsecurity AND c.relforcerowsecurity AS forced
        FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class c ON c.oid = d.objid
        WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = to_regnamespace('{schema}')
          AND d.classid = 'pg_class'::regclass AND c.relkind IN ('r', 'p')
          AND ('{schema}' <> 'spaza' OR EXISTS (
              SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id'))
    )
    SELECT string_agg(what, '; ' ORDER BY what) INTO found FROM (
        SELECT 'table ' || relname || ' has no row level security that is enabled and forced' FROM held WHERE NOT forced
        UNION ALL
        SELECT 'policy ' || polname || ' of table ' || relname || ' is not both USING and WITH CHECK'
        FROM held JOIN pg_catalog.pg_policy ON polrelid = held.oid
        WHERE polcmd IN ('*', 'w') AND (polqual IS NULL OR polwithcheck IS NULL)
    ) AS open (what);
    IF found IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'SP003', MESSAGE = found;
    END IF;
END
$open$

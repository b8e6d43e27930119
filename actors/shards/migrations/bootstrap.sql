-- What a shard's database needs before anything else. Idempotent; {database} is its quoted name.

REVOKE ALL ON DATABASE {database} FROM PUBLIC;
GRANT CONNECT ON DATABASE {database} TO spaza_app, spaza_system;

CREATE SCHEMA IF NOT EXISTS spaza;
GRANT USAGE ON SCHEMA spaza TO spaza_app, spaza_system;

-- How far the shared tables (scope 'spaza') and each tenant's schema (scope its name) have been migrated. Written by
-- the owner alone.
CREATE TABLE IF NOT EXISTS spaza.schema_version (
    scope       text PRIMARY KEY,
    version     integer NOT NULL,
    migrated_at timestamptz NOT NULL DEFAULT now()
);

-- Proofs of the sealing keys under which something of this installation may be sealed: one, or more until everything was
-- sealed anew. Written by the owner.
CREATE TABLE IF NOT EXISTS spaza.sealing_key (
    proof text PRIMARY KEY,
    since timestamptz NOT NULL DEFAULT now()
);
-- Before keys could be replaced it held one row at most.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'spaza.sealing_key'::regclass AND attname = 'one'
               AND NOT attisdropped) THEN
        ALTER TABLE spaza.sealing_key DROP COLUMN one, ADD PRIMARY KEY (proof);
    END IF;
END
$$;

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

-- Proof of the one sealing key under which credentials of this installation are sealed and its roles' passwords derived.
-- Written once, by the owner.
CREATE TABLE IF NOT EXISTS spaza.sealing_key (
    one   boolean PRIMARY KEY DEFAULT true CHECK (one),
    proof text NOT NULL,
    since timestamptz NOT NULL DEFAULT now()
);

-- What tenants sign their calls with (on the shard of the kid), what a placement leads to, and answers that are given
-- again for an idempotency key.

CREATE TABLE spaza.tenant_credential (
    kid           text PRIMARY KEY,
    tenant_id     text NOT NULL,
    algorithm     text NOT NULL DEFAULT 'HS256',
    secret_sealed text NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz               -- null until another takes its place
);
CREATE INDEX tenant_credential_by_tenant ON spaza.tenant_credential (tenant_id);

ALTER TABLE spaza.tenant_credential ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY system ON spaza.tenant_credential TO spaza_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON spaza.tenant_credential TO spaza_system;

-- The numbers and credentials that point to a tenant stand on other shards; the latest credential comes first. Tenants
-- from before this have none listed, and theirs are searched for.
ALTER TABLE spaza.tenant_placement
    ADD COLUMN phone_numbers text[] NOT NULL DEFAULT '{}',
    ADD COLUMN kids          text[] NOT NULL DEFAULT '{}',
    ADD COLUMN request_key   text   NOT NULL DEFAULT '',
    ADD COLUMN changed_at    timestamptz NOT NULL DEFAULT now();

-- secret_sealed: of the credential that was issued for the key; taken away a day after it was completed.
ALTER TABLE spaza.tenant_request
    ADD COLUMN kind          text NOT NULL DEFAULT 'create',
    ADD COLUMN kid           text,
    ADD COLUMN secret_sealed text,
    ADD COLUMN completed_at  timestamptz,
    ADD COLUMN removed_at    timestamptz;

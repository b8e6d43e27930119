-- The directory: which tenant a phone number belongs to (on the number's shard), and where a tenant lives (on the
-- shard of its id). And which tenant was made for an idempotency key (on the key's shard).

CREATE TABLE spaza.tenant_placement (
    tenant_id    text PRIMARY KEY CHECK (tenant_id ~ '^[0-9a-f]{32}$'),
    name         text NOT NULL,
    shard        integer NOT NULL CHECK (shard BETWEEN 0 AND 31),
    epoch        bigint NOT NULL DEFAULT 1,
    state        text NOT NULL DEFAULT 'active',
    limit_minute integer CHECK (limit_minute > 0),
    limit_hour   integer CHECK (limit_hour > 0),
    placed_at    timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE spaza.tenant_phone (
    phone_number_id      text PRIMARY KEY,
    tenant_id            text NOT NULL,
    display_phone_number text NOT NULL,
    claimed_until        timestamptz          -- while the tenant is being made; null once the number is its own
);
CREATE INDEX tenant_phone_by_tenant ON spaza.tenant_phone (tenant_id);

CREATE TABLE spaza.tenant_request (
    idempotency_key text PRIMARY KEY,
    tenant_id       text NOT NULL,
    fingerprint     bytea NOT NULL,           -- SHA-256 of what was asked
    requested_at    timestamptz NOT NULL DEFAULT now()
);

ALTER TABLE spaza.tenant_placement ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE spaza.tenant_phone ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE spaza.tenant_request ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

CREATE POLICY system ON spaza.tenant_placement TO spaza_system USING (true) WITH CHECK (true);
CREATE POLICY system ON spaza.tenant_phone TO spaza_system USING (true) WITH CHECK (true);
CREATE POLICY system ON spaza.tenant_request TO spaza_system USING (true) WITH CHECK (true);
CREATE POLICY tenant ON spaza.tenant_placement TO spaza_app
    USING (tenant_id = nullif(current_setting('app.current_tenant', true), ''))
    WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant', true), ''));

GRANT SELECT, INSERT, UPDATE, DELETE ON spaza.tenant_placement, spaza.tenant_phone, spaza.tenant_request
    TO spaza_system;
GRANT SELECT ON spaza.tenant_placement TO spaza_app;

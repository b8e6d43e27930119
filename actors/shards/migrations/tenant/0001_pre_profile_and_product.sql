-- Who the tenant is, and what it sells. Amounts are in minor units. The context is checked on top of the schema's
-- name, so that a statement which names the wrong schema sees nothing.

CREATE TABLE {schema}.profile (
    tenant_id           text PRIMARY KEY DEFAULT '{tenant_id}' CHECK (tenant_id = '{tenant_id}'),
    name                text NOT NULL,
    latitude            double precision NOT NULL,
    longitude           double precision NOT NULL,
    access_token_sealed text NOT NULL,
    waba_id             text,
    catalog_id          text,
    updated_at          timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE {schema}.product (
    tenant_id    text NOT NULL DEFAULT '{tenant_id}' CHECK (tenant_id = '{tenant_id}'),
    sku          text NOT NULL,
    name         text NOT NULL,
    description  text NOT NULL DEFAULT '',
    price_minor  bigint NOT NULL CHECK (price_minor >= 0),
    currency     text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    stock        integer CHECK (stock >= 0),       -- null: not counted
    category     text,
    image_url    text,
    latitude     double precision NOT NULL,
    longitude    double precision NOT NULL,
    updated_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, sku)
);

ALTER TABLE {schema}.profile ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE {schema}.product ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

CREATE POLICY tenant ON {schema}.profile TO spaza_app
    USING (tenant_id = nullif(current_setting('app.current_tenant', true), ''))
    WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant', true), ''));
CREATE POLICY tenant ON {schema}.product TO spaza_app
    USING (tenant_id = nullif(current_setting('app.current_tenant', true), ''))
    WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant', true), ''));

GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.profile, {schema}.product TO spaza_app;

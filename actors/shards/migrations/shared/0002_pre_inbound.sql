-- What Meta has told this shard's tenants, and what it has told about none of them.

-- Every inbound message, by Meta's id and Meta's time. The primary key is the one proof of a duplicate: Meta delivers
-- again for seven days, with the same time. Partitioned by that time, so that old ones go by dropping a partition.
CREATE TABLE spaza.inbound_message (
    tenant_id   text        NOT NULL,
    message_id  text        NOT NULL,
    sent_at     timestamptz NOT NULL,
    kind        text        NOT NULL,
    body        bytea       NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, message_id, sent_at)
) PARTITION BY RANGE (sent_at);
CREATE TABLE spaza.inbound_message_default PARTITION OF spaza.inbound_message DEFAULT;

ALTER TABLE spaza.inbound_message ENABLE ROW LEVEL SECURITY;
ALTER TABLE spaza.inbound_message FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON spaza.inbound_message TO spaza_app
    USING (tenant_id = nullif(current_setting('app.current_tenant', true), ''))
    WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant', true), ''));
CREATE POLICY system_access ON spaza.inbound_message TO spaza_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT ON spaza.inbound_message TO spaza_app, spaza_system;
-- Nobody goes to a partition past its parent's policies.
ALTER TABLE spaza.inbound_message_default ENABLE ROW LEVEL SECURITY;
ALTER TABLE spaza.inbound_message_default FORCE ROW LEVEL SECURITY;

-- Notices that concern a business account, a template or the platform, and no tenant's number.
-- On the shard of the WhatsApp Business Account's id.
CREATE TABLE spaza.platform_event (
    tenant_id   text        NOT NULL DEFAULT '',
    event_id    text        NOT NULL,
    waba_id     text        NOT NULL,
    field       text        NOT NULL,
    occurred_at timestamptz NOT NULL,
    body        bytea       NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (event_id, occurred_at)
) PARTITION BY RANGE (occurred_at);
CREATE TABLE spaza.platform_event_default PARTITION OF spaza.platform_event DEFAULT;

ALTER TABLE spaza.platform_event ENABLE ROW LEVEL SECURITY;
ALTER TABLE spaza.platform_event FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON spaza.platform_event TO spaza_app
    USING (tenant_id = nullif(current_setting('app.current_tenant', true), ''))
    WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant', true), ''));
CREATE POLICY system_access ON spaza.platform_event TO spaza_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT ON spaza.platform_event TO spaza_system;
ALTER TABLE spaza.platform_event_default ENABLE ROW LEVEL SECURITY;
ALTER TABLE spaza.platform_event_default FORCE ROW LEVEL SECURITY;

-- A merchant's conversations, what was sent in them, and what Meta says became of it.

-- One row a customer. Meta names a customer by phone, by a business-scoped id, or by both; each leads to one row.
CREATE TABLE {schema}.conversation (
    tenant_id       text        NOT NULL DEFAULT '{tenant_id}',
    id              text        NOT NULL PRIMARY KEY,
    user_id         text        UNIQUE,
    phone           text        UNIQUE,
    name            text,
    stage           text        NOT NULL,
    last_inbound_at timestamptz NOT NULL,
    merged_into     text,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL
) WITH (fillfactor = 80);

-- Every message that goes out. Its id is the notifications mailbox's message id and Meta's biz_opaque_callback_data.
-- rank: 0 queued, 1 accepted, 2 sent, 3 failed, 4 delivered, 5 read, 6 played; it only grows.
-- marked_at: a send was about to begin while Redis was away.
CREATE TABLE {schema}.outgoing_message (
    tenant_id       text        NOT NULL DEFAULT '{tenant_id}',
    id              text        NOT NULL PRIMARY KEY,
    conversation_id text        NOT NULL,
    phone_number_id text        NOT NULL,
    payload         jsonb       NOT NULL,
    state           text        NOT NULL DEFAULT 'queued',
    rank            smallint    NOT NULL DEFAULT 0,
    state_at        timestamptz NOT NULL,
    wamid           text,
    error_code      integer,
    marked_at       timestamptz,
    created_at      timestamptz NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX outgoing_message_wamid ON {schema}.outgoing_message (wamid) WHERE wamid IS NOT NULL;
CREATE INDEX outgoing_message_conversation ON {schema}.outgoing_message (conversation_id, id);

-- Every status that Meta sent, whether or not the message was known by then. participant: of a group, else empty.
CREATE TABLE {schema}.message_status (
    tenant_id   text        NOT NULL DEFAULT '{tenant_id}',
    wamid       text        NOT NULL,
    state       text        NOT NULL,
    participant text        NOT NULL DEFAULT '',
    rank        smallint    NOT NULL,
    at          timestamptz NOT NULL,
    message_id  text,
    error_code  integer,
    body        bytea       NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (wamid, state, participant)
);

ALTER TABLE {schema}.conversation ENABLE ROW LEVEL SECURITY;
ALTER TABLE {schema}.conversation FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON {schema}.conversation TO spaza_app
    USING (tenant_id = nullif(current_setting('app.current_tenant', true), ''))
    WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant', true), ''));
GRANT SELECT, INSERT, UPDATE ON {schema}.conversation TO spaza_app;

ALTER TABLE {schema}.outgoing_message ENABLE ROW LEVEL SECURITY;
ALTER TABLE {schema}.outgoing_message FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON {schema}.outgoing_message TO spaza_app
    USING (tenant_id = nullif(current_setting('app.current_tenant', true), ''))
    WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant', true), ''));
GRANT SELECT, INSERT, UPDATE ON {schema}.outgoing_message TO spaza_app;

ALTER TABLE {schema}.message_status ENABLE ROW LEVEL SECURITY;
ALTER TABLE {schema}.message_status FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON {schema}.message_status TO spaza_app
    USING (tenant_id = nullif(current_setting('app.current_tenant', true), ''))
    WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant', true), ''));
GRANT SELECT, INSERT, UPDATE ON {schema}.message_status TO spaza_app;

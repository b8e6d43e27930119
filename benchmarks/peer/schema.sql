-- The peer's tables: the same rows for each message as Spaza writes.
CREATE TABLE IF NOT EXISTS tenant (
    tenant_id text PRIMARY KEY,
    phone_number_id text NOT NULL UNIQUE,
    name text NOT NULL,
    access_token text NOT NULL
);

CREATE TABLE IF NOT EXISTS inbound_message (
    tenant_id text NOT NULL,
    message_id text NOT NULL,
    sent_at timestamptz NOT NULL,
    kind text NOT NULL,
    body bytea NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, message_id)
);

CREATE TABLE IF NOT EXISTS conversation (
    tenant_id text NOT NULL,
    customer text NOT NULL,
    name text,
    step text NOT NULL,
    last_message_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, customer)
);

CREATE TABLE IF NOT EXISTS outgoing_message (
    id text PRIMARY KEY,
    tenant_id text NOT NULL,
    customer text NOT NULL,
    payload jsonb NOT NULL,
    status text NOT NULL,
    wamid text,
    created_at timestamptz NOT NULL DEFAULT now(),
    sent_at timestamptz
);

CREATE INDEX IF NOT EXISTS outgoing_message_wamid ON outgoing_message (wamid);

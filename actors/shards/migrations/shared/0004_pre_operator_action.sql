-- Who did what to the mailboxes. Kept on shard 0; a row is written before the action and completed after it.
CREATE TABLE spaza.operator_action (
    action_id text        PRIMARY KEY,
    began_at  timestamptz NOT NULL,
    operator  text        NOT NULL,
    peer      text        NOT NULL,
    action    text        NOT NULL,
    queue     text        NOT NULL,
    request   jsonb       NOT NULL,
    ended_at  timestamptz,
    outcome   jsonb
);
CREATE INDEX operator_action_by_time ON spaza.operator_action (began_at);

ALTER TABLE spaza.operator_action ENABLE ROW LEVEL SECURITY;
ALTER TABLE spaza.operator_action FORCE ROW LEVEL SECURITY;
CREATE POLICY system_access ON spaza.operator_action TO spaza_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON spaza.operator_action TO spaza_system;

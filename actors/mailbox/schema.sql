-- The journal of the mailboxes, in every shard's database. Idempotent; applied by the databases' owner.
--
-- Insert-only: a message is a row of the journal, what became of it a row of settlement; waiting is what has no
-- settlement. Both are partitioned by the day of publication and dropped by the day. Only the owner's lease and the
-- few messages that were tried more than once are ever updated.
--
-- Several may apply it at once, beside those who use it: one goes after the other, and what is there is asked for before
-- anything takes a lock that those who write would have to wait for, or that could wait for them in turn.

SELECT pg_advisory_xact_lock(hashtextextended('spaza.journal', 0));

CREATE SCHEMA IF NOT EXISTS spaza;

DO $roles$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['spaza_app', 'spaza_system'] LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL; -- made meanwhile from another database
        END;
    END LOOP;
END
$roles$;

GRANT USAGE ON SCHEMA spaza TO spaza_app, spaza_system;

CREATE SEQUENCE IF NOT EXISTS spaza.journal_seq;
GRANT USAGE ON SEQUENCE spaza.journal_seq TO spaza_app, spaza_system;

CREATE TABLE IF NOT EXISTS spaza.journal (
    published_on  date NOT NULL,             -- UTC day of published_at, or of the redrive
    queue         text NOT NULL,
    partition     integer NOT NULL,
    seq           bigint NOT NULL DEFAULT nextval('spaza.journal_seq'),
    message_id    text NOT NULL,
    tenant_id     text NOT NULL,             -- whose turn it takes; for row level security too
    key           text NOT NULL,
    priority      smallint NOT NULL,
    published_at  timestamptz NOT NULL,
    clock_s       double precision,          -- the partition's age clock at the append; null until its owner saw it
    ttl_ms        integer,
    headers       bytea NOT NULL,
    body          bytea NOT NULL,
    checksum      integer NOT NULL,
    transactional boolean NOT NULL,
    txid          xid8 NOT NULL DEFAULT pg_current_xact_id(),
    seal          integer,                   -- of what the checksum leaves out; null in rows of before it was there
    PRIMARY KEY (queue, partition, message_id, published_on)
) PARTITION BY RANGE (published_on);
-- IF NOT EXISTS would lock the table before it looks.
DO $indexes$
BEGIN
    IF to_regclass('spaza.journal_by_seq') IS NULL THEN
        CREATE INDEX journal_by_seq ON spaza.journal (queue, partition, seq);
    END IF;
    IF to_regclass('spaza.journal_by_txid') IS NULL THEN
        CREATE INDEX journal_by_txid ON spaza.journal (queue, partition, txid) INCLUDE (seq) WHERE transactional;
    END IF;
    IF to_regclass('spaza.journal_by_end') IS NULL THEN
        CREATE INDEX journal_by_end ON spaza.journal (queue, partition, (clock_s + ttl_ms / 1000::float8), seq)
            WHERE ttl_ms IS NOT NULL;
    END IF;
    IF to_regclass('spaza.journal_by_expiry') IS NOT NULL THEN
        DROP INDEX spaza.journal_by_expiry; -- the same without the seq
    END IF;
END
$indexes$;
CREATE TABLE IF NOT EXISTS spaza.journal_default PARTITION OF spaza.journal DEFAULT;

CREATE TABLE IF NOT EXISTS spaza.settlement (
    published_on  date NOT NULL,             -- of the message, so that both are dropped together
    queue         text NOT NULL,
    partition     integer NOT NULL,
    seq           bigint NOT NULL,
    outcome       text NOT NULL,             -- acknowledged, rejected, expired, delivery_limit, corrupt, redriven, purged, moved
    reason        text NOT NULL,
    deliveries    integer NOT NULL,
    settled_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (queue, partition, seq, published_on)
) PARTITION BY RANGE (published_on);
CREATE TABLE IF NOT EXISTS spaza.settlement_default PARTITION OF spaza.settlement DEFAULT;

-- Of messages that were delivered before, or may have been.
CREATE TABLE IF NOT EXISTS spaza.redelivery (
    queue         text NOT NULL,
    partition     integer NOT NULL,
    seq           bigint NOT NULL,
    retries       integer NOT NULL,          -- rejections that were followed by another try
    deliveries    integer NOT NULL,          -- deliveries lost with their consumer
    not_before    timestamptz NOT NULL,
    deferred_s    double precision NOT NULL, -- time that does not age the message
    reason        text NOT NULL,
    PRIMARY KEY (queue, partition, seq)
) WITH (fillfactor = 70);

CREATE TABLE IF NOT EXISTS spaza.mailbox_owner (
    queue         text NOT NULL,
    partition     integer NOT NULL,
    epoch         bigint NOT NULL,
    owner         text NOT NULL,
    lease_until   timestamptz NOT NULL,
    low_water     bigint NOT NULL,           -- below it everything is settled, but for what swept_to finds
    swept_to      xid8 NOT NULL,             -- transactional rows of older transactions have all been seen
    clock_s       double precision NOT NULL, -- seconds during which messages could be delivered, and so aged
    paused        boolean NOT NULL DEFAULT false, -- an operator has stopped the deliveries
    PRIMARY KEY (queue, partition)
) WITH (fillfactor = 50);
-- Asked first, for the change waits for all who write.
DO $columns$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'spaza.mailbox_owner'::regclass AND attname = 'paused') THEN
        ALTER TABLE spaza.mailbox_owner ADD COLUMN paused boolean NOT NULL DEFAULT false;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'spaza.journal'::regclass AND attname = 'seal') THEN
        ALTER TABLE spaza.journal ADD COLUMN seal integer;
    END IF;
END
$columns$;

CREATE TABLE IF NOT EXISTS spaza.mailbox_layout (
    queue         text PRIMARY KEY,          -- as it was declared at the last start; kept on the first shard alone
    partition_by  text NOT NULL,
    partitions    integer NOT NULL
);

GRANT SELECT, INSERT ON spaza.journal TO spaza_app, spaza_system;
GRANT SELECT, INSERT ON spaza.settlement TO spaza_system;
GRANT SELECT, INSERT, UPDATE, DELETE ON spaza.redelivery TO spaza_system;
GRANT SELECT, INSERT, UPDATE ON spaza.mailbox_owner TO spaza_system;

-- The owner of the tables keeps them (see below) and so has to see them, whether or not it is a superuser.
DO $policies$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['journal', 'journal_default', 'settlement', 'settlement_default', 'redelivery',
                                  'mailbox_owner', 'mailbox_layout'] LOOP
        IF NOT EXISTS (SELECT FROM pg_class WHERE oid = to_regclass('spaza.' || wanted)
                       AND relrowsecurity AND relforcerowsecurity) THEN
            EXECUTE format('ALTER TABLE spaza.%I ENABLE ROW LEVEL SECURITY', wanted);
            EXECUTE format('ALTER TABLE spaza.%I FORCE ROW LEVEL SECURITY', wanted);
        END IF;
        -- Nobody but the owner goes to a partition past its parent's policies.
        IF wanted NOT LIKE '%\_default' AND NOT EXISTS (SELECT FROM pg_policies WHERE schemaname = 'spaza'
                                                       AND tablename = wanted AND policyname = 'system') THEN
            EXECUTE format('CREATE POLICY system ON spaza.%I TO spaza_system USING (true) WITH CHECK (true)', wanted);
        END IF;
        IF NOT EXISTS (SELECT FROM pg_policies WHERE schemaname = 'spaza' AND tablename = wanted
                       AND policyname = 'keeper') THEN
            EXECUTE format('CREATE POLICY keeper ON spaza.%I TO %I USING (true) WITH CHECK (true)', wanted, current_user);
        END IF;
    END LOOP;
    IF NOT EXISTS (SELECT FROM pg_policies WHERE schemaname = 'spaza' AND tablename = 'journal'
                   AND policyname = 'tenant') THEN
        CREATE POLICY tenant ON spaza.journal TO spaza_app
            USING (tenant_id = nullif(current_setting('app.current_tenant', true), ''))
            WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant', true), '') AND transactional);
    END IF;
END
$policies$;

-- Makes the partitions of the coming days and drops the oldest of those days that are over, if there is one; to be
-- called again where it did. Runs as the tables' owner, for the mailbox's role owns nothing. What is still unsettled of
-- an old day (dead letters) is kept in the default partition; a day with very many of them is kept whole.
--
-- Dropping needs both tables for itself, and no message can be published meanwhile. So what takes long is done before:
-- what is unsettled is looked for while only the old day takes no more rows, and as settlements only grow, just that
-- has to be looked at again.
CREATE OR REPLACE FUNCTION spaza.maintain_mailbox(days_ahead integer, days_kept integer, today date)
RETURNS TABLE (made integer, dropped integer) LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog SET lock_timeout = '500ms' AS $maintain$
DECLARE
    most_kept CONSTANT integer := 10000;
    parent text;
    wanted date;
    child record;
    over date;
    unsettled tid[];
BEGIN
    made := 0;
    dropped := 0;
    IF days_ahead NOT BETWEEN 0 AND 30 OR days_kept < 1 THEN
        RAISE EXCEPTION 'days_ahead must be 0 to 30 and days_kept at least 1';
    END IF;
    IF NOT pg_try_advisory_xact_lock(hashtext('spaza.maintain_mailbox')) THEN
        RETURN NEXT; -- somebody else is at it
        RETURN;
    END IF;
    FOR child IN
        SELECT c.relname, to_date(right(c.relname, 8), 'YYYYMMDD') AS day
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'spaza.journal'::regclass AND c.relname ~ '^journal_\d{8}$'
          AND to_date(right(c.relname, 8), 'YYYYMMDD') < today - days_kept
        ORDER BY 1
    LOOP
        EXECUTE format('LOCK TABLE spaza.%I IN SHARE MODE', child.relname);
        EXECUTE 'SELECT ARRAY(SELECT j.ctid FROM spaza.journal j WHERE j.published_on = $1 AND NOT EXISTS (
                     SELECT FROM spaza.settlement s WHERE s.published_on = $1 AND s.queue = j.queue
                       AND s.partition = j.partition AND s.seq = j.seq OFFSET 0) LIMIT $2)'
        INTO unsettled USING child.day, most_kept + 1;
        IF cardinality(unsettled) <= most_kept THEN
            over := child.day;
            EXIT;
        END IF;
    END LOOP;
    FOR wanted IN SELECT today + step FROM generate_series(0, days_ahead) AS step LOOP
        FOREACH parent IN ARRAY ARRAY['journal', 'settlement'] LOOP
            IF to_regclass(format('spaza.%I', parent || to_char(wanted, '_YYYYMMDD'))) IS NULL THEN
                BEGIN
                    EXECUTE format('CREATE TABLE spaza.%I PARTITION OF spaza.%I FOR VALUES FROM (%L) TO (%L)',
                                   parent || to_char(wanted, '_YYYYMMDD'), parent, wanted, wanted + 1);
                    EXECUTE format('ALTER TABLE spaza.%I ENABLE ROW LEVEL SECURITY',
                                   parent || to_char(wanted, '_YYYYMMDD'));
                    EXECUTE format('ALTER TABLE spaza.%I FORCE ROW LEVEL SECURITY',
                                   parent || to_char(wanted, '_YYYYMMDD'));
                    made := made + 1;
                EXCEPTION WHEN check_violation THEN
                    NULL; -- the day's first rows are in the default partition, and the others follow them
                END;
            END IF;
        END LOOP;
    END LOOP;
    IF over IS NOT NULL THEN
        -- A settlement that is written meanwhile waits for these locks and then finds its day in the default partition.
        LOCK TABLE spaza.journal, spaza.settlement IN ACCESS EXCLUSIVE MODE;
        EXECUTE format('ALTER TABLE spaza.journal DETACH PARTITION spaza.%I', to_char(over, '"journal_"YYYYMMDD'));
        -- By itself it has no policy, so that its owner would find nothing in it to keep.
        EXECUTE format('ALTER TABLE spaza.%I NO FORCE ROW LEVEL SECURITY', to_char(over, '"journal_"YYYYMMDD'));
        EXECUTE format(
            'INSERT INTO spaza.journal SELECT j.* FROM spaza.%I j WHERE j.ctid = ANY ($2) AND NOT EXISTS (
                 SELECT FROM spaza.settlement s WHERE s.published_on = $1 AND s.queue = j.queue
                   AND s.partition = j.partition AND s.seq = j.seq OFFSET 0)', to_char(over, '"journal_"YYYYMMDD'))
        USING over, unsettled;
        EXECUTE format('DROP TABLE spaza.%I', to_char(over, '"journal_"YYYYMMDD'));
        EXECUTE format('DROP TABLE IF EXISTS spaza.%I', to_char(over, '"settlement_"YYYYMMDD'));
        dropped := 1;
    END IF;
    RETURN NEXT;
END
$maintain$;

-- Deletes what is settled of the old days' messages that were kept in the default partition, and what is known of
-- deliveries of messages that are settled. Locks no table.
CREATE OR REPLACE FUNCTION spaza.clean_mailbox(days_kept integer, today date)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog AS $clean$
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('spaza.clean_mailbox')) THEN
        RETURN; -- somebody else is at it
    END IF;
    DELETE FROM spaza.journal_default j USING spaza.settlement_default s
    WHERE j.published_on < today - days_kept AND s.queue = j.queue AND s.partition = j.partition AND s.seq = j.seq
      AND s.published_on = j.published_on;
    DELETE FROM spaza.settlement_default s
    WHERE s.published_on < today - days_kept AND NOT EXISTS (
        SELECT FROM spaza.journal_default j WHERE j.queue = s.queue AND j.partition = s.partition AND j.seq = s.seq
          AND j.published_on = s.published_on);
    DELETE FROM spaza.redelivery r WHERE r.not_before < now() - make_interval(days => days_kept) AND NOT EXISTS (
        SELECT FROM spaza.journal j WHERE j.queue = r.queue AND j.partition = r.partition AND j.seq = r.seq
          AND NOT EXISTS (SELECT FROM spaza.settlement s WHERE s.queue = j.queue AND s.partition = j.partition
                          AND s.seq = j.seq AND s.published_on = j.published_on));
END
$clean$;

-- Has the planner know the tables of which it knows nothing, for nobody else may ever do so: the server forgets that
-- there is something to analyze when it crashes, and has not looked yet where a day has just begun. Says how many there
-- were. Waits for no lock, and warns of none: who holds it may be analyzing.
CREATE OR REPLACE FUNCTION spaza.analyze_mailbox() RETURNS integer LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog SET client_min_messages = error AS $analyze$
DECLARE
    unknown regclass;
    analyzed integer := 0;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('spaza.analyze_mailbox')) THEN
        RETURN 0; -- somebody else is at it
    END IF;
    FOR unknown IN
        SELECT c.oid FROM pg_class c
        WHERE c.relkind = 'r' AND c.reltuples < 0 AND pg_relation_size(c.oid) > 0
          AND (c.oid = 'spaza.redelivery'::regclass OR c.oid IN (
            SELECT inhrelid FROM pg_inherits
            WHERE inhparent IN ('spaza.journal'::regclass, 'spaza.settlement'::regclass)))
        ORDER BY c.relname
    LOOP
        EXECUTE format('ANALYZE (SKIP_LOCKED) %s', unknown);
        analyzed := analyzed + 1;
    END LOOP;
    RETURN analyzed;
END
$analyze$;

REVOKE ALL ON FUNCTION spaza.maintain_mailbox(integer, integer, date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION spaza.maintain_mailbox(integer, integer, date) TO spaza_system;
REVOKE ALL ON FUNCTION spaza.clean_mailbox(integer, date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION spaza.clean_mailbox(integer, date) TO spaza_system;
REVOKE ALL ON FUNCTION spaza.analyze_mailbox() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION spaza.analyze_mailbox() TO spaza_system;

SELECT spaza.maintain_mailbox(3, 7, (now() AT TIME ZONE 'UTC')::date);

-- What stands in the schema spaza is under row level security that is forced, also where no role but the owner may go:
-- the parts of the journal that belong to no day, and what names tenants' schemas. The owner keeps them, and so has to
-- see them whether or not it is a superuser.
ALTER POLICY keeper ON spaza.inbound_message_default USING (true) WITH CHECK (true);
ALTER POLICY keeper ON spaza.platform_event_default USING (true) WITH CHECK (true);

DO $closed$
DECLARE
    wanted record;
BEGIN
    FOR wanted IN
        SELECT oid, relname, pg_get_userbyid(relowner) AS owner FROM pg_class
        WHERE oid IN (to_regclass('spaza.journal_default'), to_regclass('spaza.settlement_default'),
                      to_regclass('spaza.schema_version'), to_regclass('spaza.schema_migration'),
                      to_regclass('spaza.sealing_key'))
        ORDER BY relname
    LOOP
        IF NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = wanted.oid AND polname = 'keeper') THEN
            EXECUTE format('CREATE POLICY keeper ON spaza.%I TO %I USING (true) WITH CHECK (true)',
                           wanted.relname, wanted.owner);
        END IF;
        EXECUTE format('ALTER TABLE spaza.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', wanted.relname);
    END LOOP;
END
$closed$;

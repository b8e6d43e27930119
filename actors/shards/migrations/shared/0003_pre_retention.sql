-- Inbound messages and platform events get a partition for each week of Meta's time, made ahead and dropped when it is
-- over for long enough. What comes before its week was made, or after it was dropped, stands in the default partition.

-- The tables' owner clears the default partitions, and so has to see them, whether or not it is a superuser.
CREATE POLICY keeper ON spaza.inbound_message_default TO CURRENT_USER USING (true);
CREATE POLICY keeper ON spaza.platform_event_default TO CURRENT_USER USING (true);

-- Makes the partitions of this and the coming weeks, drops those of weeks that are over, and clears old rows from the
-- default partitions. Runs as the tables' owner, for the system role owns nothing. Weeks begin on Monday, UTC.
CREATE FUNCTION spaza.maintain_inbound(weeks_ahead integer, days_kept integer, today date)
RETURNS TABLE (made integer, dropped integer, removed bigint) LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog SET lock_timeout = '500ms' AS $maintain$
DECLARE
    oldest timestamptz := (today - days_kept)::timestamp AT TIME ZONE 'UTC';
    parent text;
    child text;
    week date;
    events bigint;
BEGIN
    made := 0;
    dropped := 0;
    removed := 0;
    -- Meta delivers again for seven days; until then only the rows show what is a duplicate.
    IF weeks_ahead NOT BETWEEN 0 AND 8 OR days_kept < 8 THEN
        RAISE EXCEPTION 'weeks_ahead must be 0 to 8 and days_kept at least 8';
    END IF;
    IF NOT pg_try_advisory_xact_lock(hashtext('spaza.maintain_inbound')) THEN
        RETURN NEXT; -- somebody else is at it
        RETURN;
    END IF;
    -- First, for all that follows keeps the writers waiting until the end. What came late is kept as long after it came,
    -- for it may come again.
    DELETE FROM spaza.inbound_message_default WHERE sent_at < oldest AND received_at < oldest;
    GET DIAGNOSTICS removed = ROW_COUNT;
    DELETE FROM spaza.platform_event_default WHERE occurred_at < oldest AND received_at < oldest;
    GET DIAGNOSTICS events = ROW_COUNT;
    removed := removed + events;
    FOREACH parent IN ARRAY ARRAY['inbound_message', 'platform_event'] LOOP
        FOR week IN SELECT date_trunc('week', today::timestamp)::date + 7 * step
                    FROM generate_series(0, weeks_ahead) AS step LOOP
            child := parent || to_char(week, '_YYYYMMDD');
            CONTINUE WHEN to_regclass(format('spaza.%I', child)) IS NOT NULL;
            BEGIN
                EXECUTE format('CREATE TABLE spaza.%I PARTITION OF spaza.%I FOR VALUES FROM (%L) TO (%L)', child, parent,
                               to_char(week, 'YYYY-MM-DD 00:00+00'), to_char(week + 7, 'YYYY-MM-DD 00:00+00'));
                -- Nobody goes to a partition past its parent's policies.
                EXECUTE format('ALTER TABLE spaza.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', child);
                made := made + 1;
            EXCEPTION WHEN check_violation THEN
                NULL; -- the week's first rows are in the default partition, and the others follow them
            END;
        END LOOP;
        FOR child IN
            SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
            WHERE i.inhparent = format('spaza.%I', parent)::regclass AND c.relname ~ ('^' || parent || '_\d{8}$')
              AND to_date(right(c.relname, 8), 'YYYYMMDD') + 7 <= today - days_kept
            ORDER BY 1
        LOOP
            EXECUTE format('DROP TABLE spaza.%I', child);
            dropped := dropped + 1;
        END LOOP;
    END LOOP;
    RETURN NEXT;
END
$maintain$;
REVOKE ALL ON FUNCTION spaza.maintain_inbound(integer, integer, date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION spaza.maintain_inbound(integer, integer, date) TO spaza_system;

SELECT spaza.maintain_inbound(1, 30, (now() AT TIME ZONE 'UTC')::date);

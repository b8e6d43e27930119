-- name: standing
-- What a server says of itself. Of a standby: how far it has the primary's log on its disk, and how far it has replayed.
SELECT pg_is_in_recovery() AS standby,
       CASE WHEN pg_is_in_recovery()
            THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
            ELSE pg_current_wal_flush_lsn() END - '0/0'::pg_lsn AS received,
       CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END - '0/0'::pg_lsn
           AS replayed,
       -- It asks for the log only when it has read all that is on its disk. Until then it has more than it says.
       pg_is_in_recovery() AND pg_last_wal_receive_lsn() IS NULL AS reading,
       coalesce((SELECT status = 'streaming' FROM pg_stat_wal_receiver), false) AS streaming,
       CASE WHEN NOT pg_is_in_recovery() THEN ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int
            ELSE (SELECT received_tli FROM pg_stat_wal_receiver) END AS timeline

-- name: followers
-- What the primary says of the standbys that are connected to it. The lag is null where nothing was written lately.
SELECT application_name, state = 'streaming' AS streaming, sync_state,
       coalesce(extract(epoch FROM replay_lag), 0)::float AS lag_s
FROM pg_stat_replication

-- name: slots
SELECT slot_name, active, wal_status FROM pg_replication_slots WHERE slot_type = 'physical'

-- name: make_slot
-- Keeps from now on what its standby has not had.
SELECT pg_create_physical_replication_slot($1, true)

-- name: drop_slot
SELECT pg_drop_replication_slot($1)

-- name: promote
-- Waits for so many seconds.
SELECT pg_promote(true, $1)

"""What ``spaza migrate --json`` prints, as documents of plain values."""

from typing import Any

from actors.shards.drift import DriftReport
from actors.shards.migration_plan import MigrationPlan
from actors.shards.migration_report import MigrationReport


def plan(planned: MigrationPlan) -> dict[str, Any]:
    """Of ``--dry-run``."""
    return {
        "dry_run": True,
        **_outline(planned),
        "shards": [
            {
                "shard": shard.shard,
                "shared": list(shard.shared),
                "new_tenants": list(shard.releases),
                "up_to_date": shard.up_to_date,
                "tenants": [
                    {"tenant_id": one.tenant_id, "version": one.version, "migrations": list(one.migrations)}
                    for one in shard.behind
                ],
            }
            for shard in planned.shards
        ],
    }


def report(done: MigrationReport) -> dict[str, Any]:
    """Of a run."""
    return {
        "dry_run": False,
        "complete": done.complete,
        **_outline(done.plan),
        "migrated": done.migrated,
        "applied": done.applied,
        "shared_applied": done.shared,
        "stopped_by_canary": done.stopped,
        "cut": done.cut,
        "failed": [
            {
                "tenant_id": one.tenant_id,
                "shard": one.shard,
                "migration": one.migration,
                "reason": one.reason,
                "sqlstate": one.sqlstate,
                "remedy": one.remedy,
            }
            for one in done.failed
        ],
        "failed_shards": [
            {"shard": one.shard, "reason": one.reason, "tenants": one.tenants, "remedy": one.remedy}
            for one in done.shards
        ],
        "seconds": round(done.seconds, 3),
        "tenants_per_s": round(done.migrated / done.seconds, 1) if done.seconds > 0 else 0.0,
    }


def drift(found: DriftReport) -> dict[str, Any]:
    """Of ``--drift``."""
    return {
        "clean": found.clean,
        "checked": found.checked,
        "newest": found.newest,
        "versions": {str(version): count for version, count in found.versions.items()},
        "expected_hashes": {str(version): list(hashes) for version, hashes in found.hashes.items()},
        "drifted": [
            {
                "schema": one.scope,
                "shard": one.shard,
                "version": one.version,
                "hash": one.hash,
                "expected_hash": one.expected_hash,
                "note": one.note,
                "differences": [difference._asdict() for difference in one.differences],
            }
            for one in found.drifted
        ],
        "silent": {str(shard): reason for shard, reason in found.silent.items()},
    }


def _outline(planned: MigrationPlan) -> dict[str, Any]:
    return {
        "phase": planned.phase,
        "newest": planned.newest,
        "behind": len(planned.behind),
        "up_to_date": planned.up_to_date,
        "canaries": [one.tenant_id for one in planned.canaries],
        "silent": {str(shard): reason for shard, reason in planned.silent.items()},
    }

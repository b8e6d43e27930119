"""What ``spaza migrate`` says to a person, line by line."""

from collections import Counter

from actors.shards.drift import DriftReport, SchemaDrift
from actors.shards.migration_plan import MigrationPlan
from actors.shards.migration_report import MigrationReport

_SHOWN = 20


def plan(planned: MigrationPlan) -> list[str]:
    """What would be applied where."""
    phase = "of both phases" if planned.phase is None else f"of phase {planned.phase}"
    if planned.nothing_to_do:
        lines = [f"Nothing to apply {phase}: {_tenants(planned.up_to_date)} up to date"]
    else:
        lines = [f"Would apply, {phase}:", *_by_migration(planned), *_by_shard(planned)]
        if planned.canaries:
            lines.append(f"Canaries first: {', '.join(one.tenant_id for one in planned.canaries)}")
    lines += [f"Shard {shard:02d} does not answer: {reason}" for shard, reason in planned.silent.items()]
    return [*lines, "Nothing was changed."]


def _by_migration(planned: MigrationPlan) -> list[str]:
    shared = Counter(name for shard in planned.shards for name in shard.shared)
    tenants = Counter(name for one in planned.behind for name in one.migrations)
    new = Counter(name for shard in planned.shards for name in shard.releases)
    lines = [f"  {name:<40} shared tables of {count} shards" for name, count in sorted(shared.items())]
    return lines + [
        f"  {name:<40} {_tenants(tenants[name])}, and new ones of {new[name]} shards"
        for name in sorted(tenants.keys() | new.keys())
    ]


def _by_shard(planned: MigrationPlan) -> list[str]:
    lines = []
    for shard in planned.shards:
        if shard.behind:
            versions = Counter(one.version for one in shard.behind)
            of = ", ".join(f"{count} at {version:04d}" for version, count in sorted(versions.items()))
            lines.append(f"  shard {shard.shard:02d}: {_tenants(len(shard.behind))} behind ({of})")
    return [*lines, f"{_tenants(planned.up_to_date)} up to date."]


def report(done: MigrationReport) -> list[str]:
    """How it ended, with each tenant that failed and what to do about it."""
    plan_ = done.plan
    lines = []
    if done.stopped:
        lines.append("A canary failed. The others were not touched:")
    for failure in done.failed:
        at = f" at {failure.migration}" if failure.migration else ""
        lines.append(f"  tenant {failure.tenant_id} on shard {failure.shard:02d} failed{at}: {failure.reason}")
        lines.append(f"    {failure.remedy}")
    for lost in done.shards:
        left = f", {_tenants(lost.tenants)} left behind there" if lost.tenants else ""
        lines.append(f"  shard {lost.shard:02d} failed{left}: {lost.reason}")
        lines.append(f"    {lost.remedy}")
    if plan_.nothing_to_do and done.complete:
        return [*lines, f"Nothing to do: {_tenants(plan_.up_to_date)} up to date."]
    rate = f", {done.migrated / done.seconds:.0f} a second" if done.seconds > 0 and done.migrated else ""
    shared = f", {done.shared} migrations of shared tables" if done.shared else ""
    lines.append(f"{_tenants(done.migrated)} migrated{shared}, in {done.seconds:.1f} s{rate}.")
    if done.failed:
        lines.append(f"{_tenants(len(done.failed))} failed; the same command goes on with them.")
    if done.cut:
        lines.append("The time was over before all were done; `spaza migrate` goes on with the rest.")
    return lines


def drift(found: DriftReport) -> list[str]:
    """Which schemas differ, and in what."""
    lines = []
    for version, count in found.versions.items():
        hashes = ", ".join(one[:12] for one in found.hashes.get(version, ())) or "not known here"
        lines.append(f"  {count:,} at version {version:04d}, catalogue {hashes}")
    behind = sum(count for version, count in found.versions.items() if version < found.newest)
    if behind:
        lines.append(f"  {_tenants(behind)} older than {found.newest:04d}: that is no drift, `spaza migrate` mends it")
    for one in found.drifted:
        lines += _drifted(one)
    lines += [f"Shard {shard:02d} does not answer: {reason}" for shard, reason in found.silent.items()]
    differ = f"{len(found.drifted):,} differ" if found.drifted else "none differs"
    looked = "1 schema" if found.checked == 1 else f"{found.checked:,} schemas"
    return [*lines, f"{looked} looked at, {differ}. Nothing was changed."]


def _drifted(one: SchemaDrift) -> list[str]:
    version = "" if one.version is None else f", version {one.version:04d}"
    lines = [f"{one.scope} on shard {one.shard:02d}{version}{': ' if one.note else ''}{one.note}"]
    lines += [f"    {difference}" for difference in one.differences[:_SHOWN]]
    if len(one.differences) > _SHOWN:
        lines.append(f"    and {len(one.differences) - _SHOWN} more (--json shows all)")
    return lines


def _tenants(count: int) -> str:
    return "1 tenant" if count == 1 else f"{count:,} tenants"

"""What ``spaza tenant`` prints for people."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

# What the steps of a move are to whoever waits for it.
_STEPS: Final = {
    "waiting": "waits for its turn, for others are moved now",
    "copying": "is copied",
    "flipped": "is served on the new shard, and the old one is cleared",
    "undoing": "is put back",
}


def created(document: dict[str, Any]) -> Iterator[str]:
    """A tenant that was made, with its credential."""
    yield f"Made tenant {document['tenant_id']} on shard {document['shard_id']}."
    yield from _credential(document)


def rotated(document: dict[str, Any]) -> Iterator[str]:
    """A new credential, and how long the older ones hold."""
    yield f"Tenant {document['tenant_id']} has a new credential."
    yield from _credential(document)
    for one in document["retired"]:
        yield f"  {one['kid']} holds until {one['expires_at']}"


def token(document: dict[str, Any]) -> Iterator[str]:
    """A token alone, to be taken into a variable of the shell."""
    yield document["token"]


def listed(document: dict[str, Any]) -> Iterator[str]:
    """A line for each tenant."""
    if not document["tenants"]:
        yield "No tenants."
    else:
        yield f"{'Tenant':32}  {'State':9}  Shard  {'Made':20}  {'Numbers':15}  Name"
    for one in document["tenants"]:
        numbers = ", ".join(one["phone_numbers"][:2]) + (", ..." if len(one["phone_numbers"]) > 2 else "")
        yield (
            f"{one['tenant_id']:32}  {one['state']:9}  {one['shard_id']:5}  {one['created_at']:20}  {numbers:15}"
            f"  {one['name']}"
        ).rstrip()
    if document["next_cursor"] is not None:
        yield f"More with --cursor {document['next_cursor']}"
    if document["partial"]:
        yield f"Not complete: shards {', '.join(map(str, document['missing_shards']))} did not answer."


def shown(document: dict[str, Any]) -> Iterator[str]:
    """All of one tenant."""
    yield f"{document['name'] or 'Tenant'}   {document['state']}"
    yield f"  tenant {document['tenant_id']}, shard {document['shard_id']}, epoch {document['epoch']}"
    yield f"  made {document['created_at']}, changed {document['changed_at']}"
    if "moving" in document:
        yield f"  moving to shard {document['moving']['to_shard_id']}: {document['moving']['step']}"
    if "location" not in document:
        return
    for number in document["phone_numbers"]:
        yield f"  number {number['phone_number_id']}  {number['display_phone_number']}"
    yield f"  location {document['location']['lat']}, {document['location']['lon']}"
    about = {name: value for name, value in document["whatsapp"].items() if value is not None}
    yield f"  WhatsApp {', '.join(f'{name} {value}' for name, value in about.items()) or 'token alone'}"
    yield f"  payments {', '.join(document['payments']) or 'none'}"
    yield f"  limits {_on_each(document['limits'])}"
    for route, own in document["limits"]["routes"].items():
        yield f"    on {route} {_windows(own)}"
    for one in document["credentials"]:
        until = "" if one["expires_at"] is None else f", until {one['expires_at']}"
        yield f"  credential {one['kid']}  {one['algorithm']}, since {one['created_at']}{until}"


def state(document: dict[str, Any]) -> Iterator[str]:
    """In what state a tenant is now."""
    yield f"Tenant {document['tenant_id']} is {document['state']}."


def limits(document: dict[str, Any]) -> Iterator[str]:
    """A tenant's own limits."""
    yield f"Tenant {document['tenant_id']} has {_on_each(document['limits'])} on each route."
    for route, own in document["limits"]["routes"].items():
        yield f"  {route}: {_windows(own)}"


def moved(document: dict[str, Any]) -> Iterator[str]:
    """A tenant that lives on another shard now."""
    if not document["moved"]:
        yield f"Tenant {document['tenant_id']} lives on shard {document['shard_id']} already."
        return
    yield (
        f"Tenant {document['tenant_id']} moved from shard {document['from_shard_id']} to shard {document['shard_id']}"
        f" in {document['seconds']:.1f} s."
    )
    yield (
        f"Its units waited for {document['freeze_ms']:.0f} ms; {document['rows']:,} rows were compared,"
        f" {document['messages']:,} waiting messages went with it."
    )


def moving(move: Mapping[str, Any] | None, seconds: float) -> str:
    """How far a move is that takes longer than a request; before its first step and after its last it is None."""
    step = "is about to begin or to end its move" if move is None else _STEPS[move["step"]]
    return f"After {seconds:.0f} s the tenant {step}. Ctrl-C ends the waiting, not the move."


def removed(document: dict[str, Any]) -> Iterator[str]:
    """A tenant that is gone."""
    yield f"Tenant {document['tenant_id']} is removed; its {document['rows']:,} rows are in {document['export']}."
    yield "What its customers write from now on becomes dead letters unknown_phone_number."


def half_removed(tenant_id: str, export: str, state: str | None) -> str:
    """Where a removal stands that did not come to its end, and the ways from there."""
    again = f"run the command again with --export {export}"
    if state in {"active", "suspended"}:
        return f"Tenant {tenant_id} is {state}, as before."
    if state == "removed":
        return f"Tenant {tenant_id} is removed."
    if state == "dropping":
        return f"Tenant {tenant_id} is dropping: its rows are going or gone. To finish, {again}."
    known = "may be removing by now" if state is None else f"is {state}"
    return (
        f"Tenant {tenant_id} {known}: its customers are not answered, its calls are refused, and its rows are there. "
        f"To go on, {again}; to have it served again: spaza tenant resume {tenant_id}"
    )


def resealed(document: dict[str, Any]) -> Iterator[str]:
    """How far the sealing anew has come."""
    yield f"{document['resealed']:,} secrets were sealed under the first key."
    if document["complete"]:
        yield "Nothing is sealed under another. SPAZA_SECRETS__OTHER_KEYS can go with the next start."
    if document["unopened"]:
        yield f"{document['unopened']:,} could not be opened: their key is missing in SPAZA_SECRETS__OTHER_KEYS."
    if document["missing_shards"]:
        yield f"Shards {', '.join(map(str, document['missing_shards']))} did not answer; run it again."


def _on_each(own: dict[str, Any]) -> str:
    return _windows(own) or "those of the platform"


def _windows(own: dict[str, Any]) -> str:
    spoken = {"minute": "a minute", "hour": "an hour"}
    return ", ".join(f"{own[name]} {words}" for name, words in spoken.items() if own[name] is not None)


def _credential(document: dict[str, Any]) -> Iterator[str]:
    yield f"  kid     {document['credential']['kid']}"
    secret = document["credential"].get("secret")
    if secret is None:
        yield f"It holds for tokens of {document['credential']['algorithm']} under the private key, which you have."
        return
    yield f"  secret  {secret}"
    yield "The secret is not shown again."

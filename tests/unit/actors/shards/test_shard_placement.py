import pytest

from actors.shards.placement import SHARDS, group_of, groups, shard_of


@pytest.mark.parametrize(
    ("key", "shard"),
    [
        # The last five bits of what md5sum prints: ...7e, ...72, ...cd, ...af.
        ("", 30),
        ("abc", 18),
        ("100000000000001", 13),
        ("+27110000001", 15),
    ],
)
def test_a_key_lives_where_its_whole_digest_says(key: str, shard: int) -> None:
    assert shard_of(key) == shard


def test_keys_are_spread_over_all_shards() -> None:
    counts = [0] * SHARDS
    for number in range(32_000):
        counts[shard_of(str(number))] += 1

    assert min(counts) > 850
    assert max(counts) < 1150


@pytest.mark.parametrize("shards_per_actor", [1, 5, 16, 32])
def test_every_shard_has_exactly_one_owner(shards_per_actor: int) -> None:
    owned = groups(shards_per_actor)

    assert sorted(shard for shards in owned.values() for shard in shards) == list(range(SHARDS))
    for group, shards in owned.items():
        assert all(group_of(shard, shards_per_actor) == group for shard in shards)


@pytest.mark.parametrize("shard", [-1, 32])
def test_a_shard_that_does_not_exist_is_refused(shard: int) -> None:
    with pytest.raises(ValueError, match="does not exist"):
        group_of(shard, 16)

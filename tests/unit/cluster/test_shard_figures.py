"""The figures of the shards, added up."""

from cluster.shard_figures import totals


def test_units_and_connections_are_added_up_over_shards_roles_and_actors() -> None:
    shards = {
        0: {
            "spaza_app": {"committed": 5, "overloaded": 2, "pending": 1, "mean_ms": 1.5, "connections": 4, "idle": 3},
            "spaza_system": {"committed": 1, "pending": 0, "mean_ms": 2.5, "connections": 1, "idle": 1},
        },
        31: {
            "spaza_app": {
                "committed": 10, "unit_failed": 1, "overloaded": 1, "retried": 7, "unclean": 3,
                "pending": 2, "mean_ms": 0.5, "connections": 2, "idle": 0,
            },
        },
    }  # fmt: skip

    assert totals(shards, 16) == {
        "committed": 16,
        "failed": 4,
        "pending": 3,
        "connections": 7,
        "idle": 4,
        "errors": {"overloaded": 3, "unit_failed": 1},
        "actors": {
            "0": {"committed": 6, "failed": 2, "pending": 1, "connections": 5, "idle": 4},
            "1": {"committed": 10, "failed": 2, "pending": 2, "connections": 2, "idle": 0},
        },
    }


def test_shards_that_do_not_answer_count_for_nothing() -> None:
    figures = totals({}, 16)

    assert (figures["committed"], figures["failed"], figures["connections"], figures["actors"]) == (0, 0, 0, {})

"""What is said of the mailboxes when they have started."""

from cluster.queues_in_words import is_settled, queues_in_words


def test_queues_that_another_instance_owns_are_named_with_what_that_means() -> None:
    assert queues_in_words(6, {"a": {"state": "owning"}, "b": {"state": "recovering"}}) == "6 queues"

    said = queues_in_words(6, {"a": {"state": "passive"}, "b": {"state": "owning"}, "c": {"state": "passive"}})
    assert "another instance on these databases owns a, c," in said


def test_it_is_known_who_owns_a_queue_once_its_owner_has_tried() -> None:
    assert is_settled({"a": {"state": "passive"}, "b": {"state": "owning"}})
    assert not is_settled({"a": {"state": "starting"}, "b": {"state": "owning"}})
    assert not is_settled({"a": {"state": "unreachable"}})

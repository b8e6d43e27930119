"""Which process of a name may take a partition from which."""

import pytest

from actors.mailbox.incarnation import incarnation, succeeds


@pytest.mark.parametrize(
    ("owner", "holder", "may"),
    [
        ("spaza/mailbox:q:0#5", "", True),  # nobody has owned it, or it was moved
        ("spaza/mailbox:q:0#5", "spaza/mailbox:q:0#5", True),
        ("spaza/mailbox:q:0#5", "spaza/mailbox:q:0#4", True),
        ("spaza/mailbox:q:0#4", "spaza/mailbox:q:0#5", False),
        ("spaza/mailbox:q:0#5", "spaza/mailbox:q:0", True),
        ("other/mailbox:q:0#5", "spaza/mailbox:q:0#4", False),
        ("spaza#b/mailbox:q:0#5", "spaza#a/mailbox:q:0#4", False),
    ],
)
def test_an_owner_succeeds_nobody_itself_and_its_elders(owner: str, holder: str, may: bool) -> None:
    assert succeeds(owner, holder) is may


def test_of_two_processes_of_a_name_only_the_later_succeeds_the_other() -> None:
    elder, younger = incarnation("spaza/mailbox:q:0"), incarnation("spaza/mailbox:q:0")

    assert (succeeds(younger, elder), succeeds(elder, younger)) == (True, False)

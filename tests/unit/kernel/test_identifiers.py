from kernel.identifiers import fingerprint, new_id


def test_ids_are_32_hexadecimal_digits_in_the_order_of_their_making() -> None:
    ids = [new_id() for _ in range(1000)]

    assert ids == sorted(set(ids))
    assert all(len(one) == 32 and int(one, 16) >= 0 and one[12] == "7" for one in ids)


def test_a_fingerprint_is_stable_and_does_not_show_its_value() -> None:
    assert fingerprint("wamid.27821110001") == fingerprint("wamid.27821110001")
    assert fingerprint("wamid.27821110001") != fingerprint("wamid.27821110002")
    assert "2782" not in fingerprint("wamid.27821110001")

from benchmarks.tenants.__main__ import is_flat


def test_a_rate_is_flat_while_the_last_is_about_as_good_as_the_best() -> None:
    assert is_flat([])
    assert is_flat([20.0, 60.0, 58.0, 55.0])
    assert not is_flat([60.0, 50.0, 41.0])

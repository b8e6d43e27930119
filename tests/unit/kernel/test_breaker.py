from kernel.breaker import Admission, Breaker, BreakerPolicy

POLICY = BreakerPolicy(first_s=1.0, longest_s=4.0, probe_s=10.0)


def test_what_is_well_is_used_by_all() -> None:
    breaker = Breaker(POLICY)

    assert [breaker.admit(now) for now in (0.0, 0.0, 9.0)] == [Admission.GO] * 3


def test_after_a_failure_it_is_left_alone_and_then_one_probes() -> None:
    breaker = Breaker(POLICY)
    breaker.failed(10.0)

    assert [breaker.admit(now) for now in (10.0, 10.9, 11.0, 11.0, 20.9)] == [
        Admission.REFUSED, Admission.REFUSED, Admission.PROBE, Admission.REFUSED, Admission.REFUSED,
    ]  # fmt: skip


def test_a_probe_that_went_well_opens_it_for_all() -> None:
    breaker = Breaker(POLICY)
    breaker.failed(10.0)
    breaker.admit(11.0)

    breaker.passed()

    assert breaker.is_closed
    assert [breaker.admit(11.1), breaker.admit(11.1)] == [Admission.GO] * 2


def test_while_probes_fail_the_pauses_grow_up_to_a_limit_and_begin_anew_after_a_success() -> None:
    breaker, now, pauses = Breaker(POLICY), 0.0, []
    for _ in range(5):
        breaker.failed(now)
        pause = next(step / 10 for step in range(1000) if breaker.admit(now + step / 10) is Admission.PROBE)
        pauses.append(pause)
        now += pause
    breaker.passed()
    breaker.failed(now)

    assert pauses == [1.0, 2.0, 4.0, 4.0, 4.0]
    assert breaker.admit(now + 1.0) is Admission.PROBE


def test_failures_of_what_was_under_way_together_count_once() -> None:
    breaker = Breaker(POLICY)
    for at in (0.0, 0.1, 0.9):
        breaker.failed(at)

    assert breaker.admit(1.0) is Admission.PROBE


def test_a_probe_that_never_tells_is_followed_by_another() -> None:
    breaker = Breaker(POLICY)
    breaker.failed(0.0)
    breaker.admit(1.0)

    assert [breaker.admit(10.9), breaker.admit(11.0)] == [Admission.REFUSED, Admission.PROBE]

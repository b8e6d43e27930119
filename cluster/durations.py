"""Durations for people. Pure."""


def duration(seconds: float) -> str:
    """Seconds in the two largest units that tell something: ``0.3 s``, ``42 s``, ``3 min 20 s``, ``2 d 5 h``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    for size, name, part, part_name in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            return f"{whole // size} {name} {whole % size // part} {part_name}"
    return f"{whole} s"

"""Python's garbage collector in a process that lives long and holds much that never becomes garbage."""

import gc
from typing import Final

# Objects made before the youngest are looked at, and how many such looks go before one at the older ones. A few
# thousand messages fit; Python's own 700 have it look through all modules that Ray imports several times a second.
_THRESHOLDS: Final = (20_000, 20, 20)


def spare_what_stays() -> None:
    """Leave out of all collections what is there now, and collect less often.

    For the start of a process that serves, when its modules are imported and its parts made. Collections were a tenth
    of a webhook replica's CPU under load. Weakness: what is there now and becomes garbage in a cycle later stays.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)

"""Rate limits that hold exactly: one owner for each tenant, minute and hour windows, taken both or none.

``handle.py`` is how to ask. Pure: ``clock.py``, ``window.py``, ``ledger.py``, ``refusals.py``, ``placement.py``.
"""

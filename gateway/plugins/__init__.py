"""The plugins: one small ASGI middleware each."""

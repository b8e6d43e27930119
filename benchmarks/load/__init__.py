"""The load generator: its own process, which builds and signs everything before the clock starts."""

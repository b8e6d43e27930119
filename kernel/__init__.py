"""What every package may rely on: error base, identifiers, and the loader of SQL files. Knows nothing of the domain."""

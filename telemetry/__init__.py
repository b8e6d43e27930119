"""How Spaza is watched: structured logs without personal data, and metrics through Ray."""

"""The embedded PostgreSQL with standbys: who is the primary, how standbys are made and follow, and promotion."""

"""A publisher and a consumer with ledgers, and everything around them killed at random."""

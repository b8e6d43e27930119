"""How many requests of a tenant pass, counted exactly: one owner for each tenant."""

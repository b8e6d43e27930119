"""A shorter way to owners on the same machine, beside Ray's."""

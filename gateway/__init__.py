"""The plugin chain in front of every route, in Kong's words and order: what Kong would do, in the replica itself."""

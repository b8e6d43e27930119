"""Redis patterns: cache-aside, publish and subscribe, claims on work, marks of sends.

They make it faster or surer; the shards hold what is true.
"""

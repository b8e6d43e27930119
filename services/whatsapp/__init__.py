"""What Meta tells us: the webhook that keeps it, and the processor that acts on it."""

"""What a tenant has used of its limits, told to itself: ``GET /api/v1/usage``."""

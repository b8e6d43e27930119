"""How many checks a rate limiter decides, and what one costs."""

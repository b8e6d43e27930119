"""The fair peer: what a good engineer builds for the same task from FastAPI, RabbitMQ, Redis, asyncpg and aiohttp."""

"""A stand-in of Meta's Graph API and of its webhook sender, as a process of its own. Never part of production."""

"""What the admin APIs have in common: who is let in, how requests are read, how refusals are told, what is recorded."""

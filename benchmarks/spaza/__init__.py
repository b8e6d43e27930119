"""Spaza as a contestant: started by its own command, reached from outside."""

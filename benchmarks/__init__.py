"""Loads the real system and its fair peer from outside, in turns, and checks every reply."""

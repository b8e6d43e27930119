"""What merchants sell."""

"""An outgoing message, as those who publish, send and follow it have it in common: its body, its states, its locks."""

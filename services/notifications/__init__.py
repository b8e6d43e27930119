"""What goes out: the notifier sends messages through the Graph API, and each of them once as far as Meta allows."""

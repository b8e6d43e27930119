"""Operating the platform: what runs in the mailboxes, and who did what to it."""

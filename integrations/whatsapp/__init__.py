"""WhatsApp Cloud API: the signature of what Meta sends us, and the Graph API to which we send."""

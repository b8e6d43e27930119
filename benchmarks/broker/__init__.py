"""The mailbox alone against RabbitMQ alone: confirmed publishes, and messages from end to end, in turns."""

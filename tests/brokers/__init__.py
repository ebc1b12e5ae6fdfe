"""The same tests on several RabbitMQs: the version table, and what fetches the other versions."""

"""Where the broker is, and a private RabbitMQ when there is none."""

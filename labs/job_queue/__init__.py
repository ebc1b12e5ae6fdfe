"""A job queue with typed handlers on a message bus."""

"""A task queue: tasks move through stages, over memory, SQL or S3; a work queue runs them."""

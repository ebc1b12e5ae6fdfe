"""A queue service: builds and jobs behind REST, on schedule, never twice."""

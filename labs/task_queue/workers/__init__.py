"""Workers: what runs the jobs that a work queue sends (`base` says how it is asked)."""

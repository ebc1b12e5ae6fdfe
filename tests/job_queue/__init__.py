"""The job queue: its buses, and what it promises on them."""

"""The lab in containers, on a real Docker engine."""

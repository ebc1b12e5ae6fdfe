"""A request queue on a partitioned log."""

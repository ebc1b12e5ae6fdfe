"""What a notebook calls: `from labs.notebook import Lab, check`.

`lab.py` is the door. Behind it: `workers.py` and `worker.py` (processes), what
they tell (`events.py`, `record.py`), `watching.py` (queues), `wire.py` (what goes over
the wire), `attempts.py` and `partitions.py` (what became of jobs and of requests),
`predictions.py`, `display.py` (what is alive on the page), `failures.py` (errors in words)
and `leftovers.py` (so that nothing outlives its kernel unseen). `servers.py` ends what a
lesson starts for itself, such as a PostgreSQL.
`checking.py` judges a learner's own program.
"""

from labs.notebook.checking import check
from labs.notebook.lab import Lab

__all__ = ["Lab", "check"]

"""What a notebook calls: `from labs.notebook import Lab`.

`lab.py` is the door. Behind it: `workers.py` and `worker.py` (processes), what
they tell (`events.py`, `record.py`), `watching.py` (queues), `predictions.py`,
`display.py` (what is alive on the page), `failures.py` (errors in words) and
`leftovers.py` (so that nothing outlives its kernel unseen).
"""

from labs.notebook.lab import Lab

__all__ = ["Lab"]

"""Handlers by job type: plain functions in a dict, each with its share of the workers."""

from __future__ import annotations

import inspect

from labs.errors import BadInput
from labs.job_queue.jobs import Handler
from labs.job_queue.worker import Registered


class BadHandler(BadInput, ValueError):
    """Raised when a function can't be registered for a job type, and says why."""


class Registry:
    """What is registered in one job queue."""

    def __init__(self, workers: int) -> None:
        self.handlers: dict[str, Registered] = {}
        self.usual_share = max(1, workers - 1)
        """All workers but one: a flood of one type leaves the others a worker."""
        self._workers = workers

    def must_be_free(self, job_type: str) -> None:
        """Refuse a type that can't have a handler, or has one.

        Raises:
            BadHandler: it can't.
        """
        if not isinstance(job_type, str) or not job_type.strip():
            raise BadHandler(
                f"A job type must be text, and not empty (not {job_type!r}).",
                remedy='Write register_job_handler("DemoJob", handler), '
                'or @….register_job_handler("DemoJob") above the handler.',
            )
        if job_type in self.handlers:
            raise BadHandler(
                f"Handler for job_type {job_type!r} has already been registered.",
                remedy="One type has one handler: choose another type, or let one call the other.",
            )

    def register(self, job_type: str, handler: Handler, share: int | None) -> None:
        """Let the handler do the jobs of this type.

        Raises:
            BadHandler: it can't.
        """
        self.must_be_free(job_type)
        if not callable(handler):
            raise BadHandler(
                f"The handler for {job_type!r} can't be called: it is {handler!r}.",
                remedy="Give a function that takes the job and returns True or False.",
            )
        if inspect.iscoroutinefunction(handler) or inspect.isgeneratorfunction(handler):
            raise BadHandler(
                f"The handler for {job_type!r} is a coroutine or a generator.",
                remedy="Give a plain function; in it, asyncio.run() can run a coroutine.",
            )
        if share is not None and not (type(share) is int and 1 <= share <= self._workers):
            raise BadHandler(
                f"The share of {job_type!r} must be from 1 to workers={self._workers} "
                f"(not {share!r}).",
                remedy="Leave share out for all workers but one.",
            )
        self.handlers[job_type] = Registered(handler, share or self.usual_share)

    def must_have_some(self) -> None:
        """Refuse to work without handlers.

        Raises:
            BadInput: there is none.
        """
        if not self.handlers:
            raise BadInput(
                "No handler is registered: every job would end among the failed.",
                remedy='Register one first: register_job_handler("DemoJob", handler).',
            )

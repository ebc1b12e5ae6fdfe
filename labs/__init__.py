"""Queue Labs: learn message queues on a real RabbitMQ, by running them and by breaking them.

Which room is which:

- `labs.errors`, `labs.waiting`: the few exceptions, and the one polling loop.
- `labs.broker`: where the broker is; starts a private RabbitMQ where there is none.
- `labs.notebook`: what a notebook calls: workers as processes, queues watched.
- `labs.pictures`: what happened, drawn; pure functions from data to pictures.
- `labs.cli`: the `labs` command. It imports all others; nobody imports it.

`qprocessor.py`, the worker that learners run and copy, stands beside this
package and uses nothing of it.
"""

"""A recording proxy between AMQP clients and a broker, and the faults that it can apply.

`faults` says what goes wrong and when, as frozen values; `link` is one direction of
one connection, frames in and frames out; `server` has the only sockets. Without
faults every byte passes as it came; all of it goes to a journal.
"""

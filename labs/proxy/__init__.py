"""A recording proxy between AMQP clients and a broker, and the faults that it can apply.

`faults` says what goes wrong and when, as frozen values; `armory` counts until they
strike. A `conversation` is one connection, with no socket: two `link`s, frames in and
frames out, which `striking` and `confirming` help to carry the faults out, and what is
known of its `channels` and their `confirms`. `server` has the only sockets. Without
faults every byte passes as it came; all of it goes to a journal.
"""

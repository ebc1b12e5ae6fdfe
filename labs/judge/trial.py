"""One trial of a learner's program: the one place where program, proxy, broker and journal meet.

A trial takes its plan (steps, bodies) as data, runs the steps one after the other,
ends the program, looks a last time into the queues, and cleans up whatever came of
it. All that a verdict needs stands in the journal; nothing is judged here.

Waiting never accuses a slow machine: a trial gives up only when all is quiet (no
frame but heartbeats, no line, no work in hand, and the program's processes use no
CPU), or when nobody is left who could do anything. The notes that a trial writes,
with their data:

- `finished` {}: every step ran to its end, and all that was waited for came true.
- `gave-up` {waiting_for, why, quiet_s}: what was waited for did not come true. `waiting_for` is a
  key of `WAITS`; `why`: `quiet` | `all-ended` | `too-long` | `flooded` | `forked` | `no-queue`.
  Several may follow one another; without one, there is `finished`.
- `never-connected` {copy, elsewhere}: a copy ran and opened no connection. `elsewhere`: addresses
  (`host:port`) that it was connected to instead, such as a hard-coded localhost:5672.
- `fault-missed` {fault, why}: a fault could not be shown to strike while a message was in flight.
- `not-possible-here` {fault, why}: this broker does not let us do that (a class server).
- `trouble` {what}: the broker or the kit failed: nothing can be said.
- `flooded` {copy, lines, bytes}, `forked` {copy, processes}: the copy was killed for it.
- `escaped` {copy, pids, name}: a child survived when the copy was killed or had ended; `name` its
  program. It was then killed too.
- `not-stopped` {copy}: still there 5 s after SIGTERM, so it was killed.
- `stderr` {copy, tail}: the last lines that the copy wrote on standard error.
- `locked` {queue, why}: the queue is exclusive: nobody but the program can look into it.

Faults that are not the proxy's are `fault` events of the trial: `restart` {how}, `close-by-broker`
{connections}, `away` {door, for_s, connections}, `back` {door}, `delete-queue` {queue, left}. A
`signal` {kill, freeze} that hits work has data {body, message_id, in_hand: [bodies]}.
`input` with name `end` is the end of a producer's standard input. `left` events stand after the
last `exited`, except those before a `delete-queue`, which have data.before_delete = true.
"""

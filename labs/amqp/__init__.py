"""AMQP 0-9-1 as bytes and as words, with no socket: bytes <-> frames <-> what was said.

`frames` cuts a stream into frames, each with its bytes as they came; `said` tells
what a frame says, in the specification's names and in values that JSON knows. What
is no frame, or says nothing that we know, keeps its bytes and is called `unknown`.
"""

"""The rules behind the promises: pure functions from a history to a finding.

A rule says kept, broken or unknown, what was seen in a sentence, and shows the
smallest evidence; it says None in a trial that it has nothing to do with. A rule
that has seen nothing to judge says unknown, never kept: doing nothing keeps no
promise. `labs.judge.promises` puts the rules to the exercises.
"""

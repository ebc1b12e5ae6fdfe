"""The signs by which wrong beliefs are known: pure functions from a history to yes or no.

Each looks for something that the program sent and that a promise was broken by.
`labs.judge.diagnosis` puts them into one table.
"""

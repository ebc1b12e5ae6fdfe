"""The judge: runs a learner's program under faults, and says which promises it keeps."""

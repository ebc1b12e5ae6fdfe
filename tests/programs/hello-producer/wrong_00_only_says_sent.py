# misconception: none
import sys

for line in sys.stdin:
    print("sent", line.rstrip("\r\n"), flush=True)

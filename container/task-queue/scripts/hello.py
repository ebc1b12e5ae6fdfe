"""A task for the controller of docker-compose.yml: {"file_name": "hello.py", "args": ["Ada"]}."""

import sys

print("Hello", *sys.argv[1:])

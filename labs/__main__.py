"""`python -m labs`: the `labs` command."""

from labs.cli import main

if __name__ == "__main__":
    main()

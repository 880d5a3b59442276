"""``python -m lazyrich``: the command line."""

from lazyrich.cli import main

if __name__ == "__main__":
    main()

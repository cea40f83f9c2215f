"""`python -m towpath` is the command line."""

from towpath.cli.main import main

if __name__ == "__main__":
    main()

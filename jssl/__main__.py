"""`python -m jssl`, the same as the command `jssl`."""

from jssl.command import main

if __name__ == "__main__":
    main()

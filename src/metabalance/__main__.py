"""``python -m metabalance`` is the command ``metabalance``."""

from metabalance_command import main

if __name__ == "__main__":
    main()

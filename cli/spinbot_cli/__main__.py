"""`python -m spinbot_cli`: the same as `spinbot`."""

from spinbot_cli.main import main

if __name__ == "__main__":
    main()

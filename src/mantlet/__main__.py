"""The entry point: the only place that exits, and where errors become sentences and exit codes."""

from __future__ import annotations

import logging
import os
import sys

from mantlet.errors import MantletError


def main() -> None:
    from mantlet.cli.app import app
    from mantlet.cli.output import say

    try:
        app(prog_name="mantlet")
    except MantletError as error:
        say(f"Error: {error}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        say("Stopped. What was found is kept; the same command goes on from here.")
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        logging.getLogger("mantlet").exception("a defect")
        say(f"Error: Mantlet has a defect: {type(error).__name__}: {error}. The log of the case has the details.")
        if os.environ.get("MANTLET_DEBUG"):
            raise
        sys.exit(70)


if __name__ == "__main__":
    main()

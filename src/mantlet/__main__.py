"""The entry point: the only place that exits, and where errors become sentences and exit codes."""

from __future__ import annotations

import gc
import os
import sqlite3
import sys
import traceback

from mantlet import settings
from mantlet.errors import MantletError


def main() -> None:
    # A worker has one core, and nothing multiplies matrices: threads of numpy's BLAS would spin for nothing.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        gc.disable()  # what is loaded stays: to look for garbage in it takes a tenth of the start
        from mantlet.cli.app import app

        gc.freeze()
        gc.enable()
        app(prog_name="mantlet")
    except MantletError as error:
        _say(f"Error: {error}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:  # while it was still loading, or in a command that leaves nothing to say
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except UnicodeEncodeError:
        _say("Error: a name given is not valid UTF-8; rename it, or reach it by another path.")
        sys.exit(2)
    except (OSError, sqlite3.Error) as error:
        _say(f"Error: something could not be read or written: {error}. See that the disk is there and has space.")
        sys.exit(3)
    except Exception as error:  # noqa: BLE001 - the boundary around the whole program
        _say(f"Error: Mantlet has a defect: {type(error).__name__}: {error}. {_kept()}")
        sys.exit(70)


def _say(sentence: str) -> None:
    """As every command does; imported here, since each worker imports this file too."""
    from mantlet.cli.output import say

    say(sentence)


def _kept() -> str:
    """Keeps the traceback of a defect where its author can ask for it."""
    path = settings.home() / "defects.log"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(traceback.format_exc() + "\n")
    except OSError:
        return "Its traceback could not be kept."
    return f"The details are in {path}."


if __name__ == "__main__":
    main()

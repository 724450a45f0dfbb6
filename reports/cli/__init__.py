"""The command `course`: how it ends. What it does is in `commands`, imported when signals are heard already."""

import os
import signal
import sys
import time

CODES = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}  # 128 and the signal's number, as of a shell
PUT_IN_ORDER = 15.0  # seconds that a kernel gets to end, and a folder to go


def main(argv: list[str] | None = None) -> int:
    """Run a command line; its exit code: 0 well, 1 a run failed, 2 a mistake, 3 files to be got, CODES interrupted.

    It is 2 also where the run found the mistake: a parameter that does not go with these pictures.
    """
    heard = _listening()
    try:
        from .commands import act

        return act(argv)
    except BrokenPipeError:  # `course params ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        said = "course: interrupted; what was finished is kept, and nothing half-done is taken for it"
        print(said, file=sys.stderr, flush=True)
        for name in {*CODES, "SIGALRM"} & {one.name for one in signal.Signals}:  # in order; only the way out is left
            signal.signal(getattr(signal, name), signal.SIG_IGN)
        exec("")  # Python would end by SIGINT where it came inside an exec of text, as a namedtuple's: it forgets that
        return CODES[heard[0] if heard else "SIGINT"]


def _listening() -> list[str]:
    """From now on a signal that ends us is a KeyboardInterrupt, and its name in this list.

    One that follows within PUT_IN_ORDER seconds is not heard: it would stop the putting in order. Where we go on all
    the same, because some finaliser swallowed the first, there is another interrupt after that time.
    """
    heard: list[str] = []
    until = 0.0

    def end(number: int, _) -> None:
        nonlocal until
        if time.monotonic() > until:
            until = time.monotonic() + PUT_IN_ORDER
            heard.append(signal.Signals(number).name)
            if hasattr(signal, "alarm"):
                signal.alarm(int(PUT_IN_ORDER) + 1)
            raise KeyboardInterrupt

    for name in (*CODES, "SIGALRM"):
        number = getattr(signal, name, None)  # Windows has not all of them
        # nohup wants it to go on; that a job in the background ignores SIGINT is its shell's doing, nobody's wish
        if number and (name == "SIGINT" or signal.getsignal(number) != signal.SIG_IGN):
            signal.signal(number, end)
    return heard

"""The errors that are the user's to mend: they are shown without a traceback, and they say the way out."""

from difflib import get_close_matches


class CourseError(ValueError):
    """A mistake in what the user gave: a parameter, a file, a name. The message is all they need to see."""

    def _render_traceback_(self):  # what IPython shows in place of a traceback
        return [f"{type(self).__name__}: {self}"]


class Missing(CourseError):
    """Nothing is wrong, but something has to be got first. The message says what, from where, and where to put it."""


def nearest(name: str, known) -> str:
    """' Did you mean `a` or `b`?' when something close to `name` is among `known`, else ''."""
    close = get_close_matches(str(name), [str(k) for k in known], n=3, cutoff=0.6)
    return f" Did you mean {' or '.join(f'`{c}`' for c in close)}?" if close else ""

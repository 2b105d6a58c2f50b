"""Files of the package that a piece of work visits, in the order of their first call."""

import sys
import threading
import typing
from contextlib import contextmanager
from pathlib import Path

import langchain_selectllm

PACKAGE = Path(langchain_selectllm.__file__).parent


@contextmanager
def visited_files():
    """A list that fills with paths below the package while the block runs, in every thread it starts.

    Module bodies, lambdas and comprehensions are no visits. Threads that were started before are not seen.
    """
    files = []
    seen = set()

    def note(frame, event, _):
        code = frame.f_code
        if event != "call" or code in seen:
            return
        # `isinstance` with a protocol reads properties in an order that differs from process to process.
        if frame.f_back is not None and frame.f_back.f_code.co_filename == typing.__file__:
            return
        seen.add(code)
        if code.co_filename.startswith(str(PACKAGE)) and not code.co_name.startswith("<"):
            file = Path(code.co_filename).relative_to(PACKAGE).as_posix()
            if file not in files:
                files.append(file)

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield files
    finally:
        sys.setprofile(None)
        threading.setprofile(None)

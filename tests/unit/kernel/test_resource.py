"""Typed views of documents."""

import subprocess
import sys

#: Threads that all want the first view of a class at the same moment, class after class.
AT_ONCE = """
import sys, threading
import msgspec
from towpath.kernel.resource import view

sys.setswitchinterval(1e-6)
THREADS = 4
for number in range(60):
    leaf = msgspec.defstruct(f"Leaf{number}", [(f"f{each}", int | None, None) for each in range(30)])
    branch = msgspec.defstruct(f"Branch{number}", [(f"l{each}", leaf | None, None) for each in range(10)])
    kind = msgspec.defstruct(f"Tree{number}", [(f"b{each}", branch | None, None) for each in range(10)])
    begin = threading.Barrier(THREADS)
    found = []

    def look():
        begin.wait()
        found.append(view(kind, {"b9": {"l9": {"f29": 1}}}).b9.l9.f29)

    threads = [threading.Thread(target=look) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1] * THREADS, found
"""


def test_threads_that_want_the_first_view_of_a_class_at_once_all_get_it() -> None:
    # In a process of its own: without care it ends by a segmentation fault.
    done = subprocess.run([sys.executable, "-c", AT_ONCE], capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (0, "")

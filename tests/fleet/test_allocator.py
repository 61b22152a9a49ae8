"""Workers keep free memory for the next image."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
from npad.distributed._allocator import keep_free_pages
print(int(sys.argv[1] == "keep" and keep_free_pages() and keep_free_pages()))
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    b"x" * (8 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def run(keep, threshold):
    """Whether the setting was changed, and the pages that the system cleared."""
    environment = {**os.environ, "MALLOC_TRIM_THRESHOLD_": threshold}
    command = [sys.executable, "-c", PROGRAM, "keep" if keep else "leave"]
    changed, faults = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.split()
    return changed == "1", int(faults)


@pytest.mark.skipif(sys.platform != "linux", reason="a setting of glibc")
def test_a_worker_with_the_default_of_dask_keeps_free_memory_and_another_choice_stays():
    assert run(False, "65536")[0] is False
    changed, faults = run(True, "65536")
    assert changed and faults <= run(False, "65536")[1]
    assert run(True, "131072")[0] is False

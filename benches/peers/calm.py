"""Measuring while others use the machine: what they disturb is measured again, as torch's threads fare badly beside others."""
import os
import time
from pathlib import Path

# Processors that others may keep busy while something is measured; how often it is measured at most.
CALM, TRIES = 0.1, int(os.environ.get("TRIES", 4))


def busy():
    """Seconds that all processors were busy, and those of them for this process and its finished children."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK"), sum(os.times()[:4])


def others(before, seconds):
    (all_before, own_before), (all_now, own_now) = before, busy()
    return max(0.0, all_now - all_before - (own_now - own_before)) / seconds


def wait_for_calm():
    """Until nobody else computes for a second, but not for ever."""
    for _ in range(20 if TRIES > 1 else 0):
        before = busy()
        time.sleep(1)
        if others(before, 1) < CALM:
            return


def calm(measure, *arguments):
    """What `measure` returns, of several tries the first undisturbed or else the least disturbed, and by how many processors."""
    tries = []
    while len(tries) < TRIES and (not tries or tries[-1][1] >= CALM):
        wait_for_calm()
        before, started = busy(), time.perf_counter()
        result = measure(*arguments)
        tries.append((result, others(before, time.perf_counter() - started)))
    return min(tries, key=lambda one: one[1])

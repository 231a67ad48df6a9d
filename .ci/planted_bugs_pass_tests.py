#!/usr/bin/env python3
"""Runs each crate's own tests against each bug that is planted in it: they must pass.

A planted bug that ordinary tests find measures nothing: the simulator has to find what they do not
(`quorate sim bugs`). The tests are told the bug by QUORATE_PLANTED_BUG, which only builds with the
feature `planted-bugs` read (crates/planted/src/lib.rs). Left out are the tests that are simulators
themselves: `random_worlds` of `replica`, which runs the worlds of `quorate sim run`, and `simulation` of
`raft`, which has worlds of its own.

    .ci/planted_bugs_pass_tests.py [name or crate ...]

Exits 1 when a bug was found by a test, and names it.
"""
import concurrent.futures
import json
import os
import re
import subprocess
import sys
import time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
CRATES = ["raft", "wal", "replica"]
SIMULATORS = {"raft": "simulation::", "replica": "random_worlds::"}


def bugs():
    """Name and crate of each bug, from the table."""
    with open(os.path.join(ROOT, "crates/planted/src/table.rs"), encoding="utf-8") as table:
        return re.findall(r'name: "([^"]+)",\s+crate_name: "([^"]+)"', table.read())


def test_binaries():
    """Those of all crates, by crate: built at once, since that builds what they share once."""
    command = ["cargo", "test", "--no-run", "--message-format=json", "--locked", "--quiet"]
    for crate in CRATES:
        command += ["-p", f"quorate-{crate}", "--features", f"quorate-{crate}/planted-bugs"]
    built = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    binaries = {crate: [] for crate in CRATES}
    for message in map(json.loads, built.stdout.splitlines()):
        if message.get("executable") and message["profile"]["test"]:
            crate = os.path.basename(os.path.dirname(message["manifest_path"]))
            binaries[crate].append(message["executable"])
    return binaries


def failures(binaries, crate, bug):
    """The tests of the crate that fail with the bug; with None, those that fail without any."""
    # Drawn the same for every bug, so that a verdict is the bug's.
    environment = dict(os.environ, PROPTEST_RNG_SEED="1",
                       PROPTEST_DISABLE_FAILURE_PERSISTENCE="true")
    if bug:
        environment["QUORATE_PLANTED_BUG"] = bug
    failed = []
    for binary in binaries:
        command = [binary, "--test-threads=1"]
        if crate in SIMULATORS:
            command += ["--skip", SIMULATORS[crate]]
        ran = subprocess.run(command, cwd=os.path.join(ROOT, "crates", crate), env=environment,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=900)
        failed += re.findall(r"^test (\S+) \.\.\. FAILED", ran.stdout, re.M)
        if ran.returncode != 0 and not failed:
            failed.append("(ended without a verdict)")
    return failed


def main():
    wanted = sys.argv[1:]
    jobs = [(n, c) for n, c in bugs() if not wanted or n in wanted or c in wanted]
    crates = sorted({crate for _, crate in jobs})
    binaries = test_binaries()
    jobs = [(None, crate) for crate in crates] + jobs
    found = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        started = time.monotonic()
        results = pool.map(lambda job: failures(binaries[job[1]], job[1], job[0]), jobs)
        for (name, crate), failed in zip(jobs, results):
            found += bool(failed)
            verdict = f"found by {', '.join(failed[:3])}" if failed else "passes"
            seconds = time.monotonic() - started
            print(f"{seconds:5.0f} s  {crate:8} {name or '(no bug)':45} {verdict}", flush=True)
    sys.exit(1 if found else 0)


main()

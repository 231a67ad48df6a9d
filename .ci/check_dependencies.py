#!/usr/bin/env python3
"""Checks `cargo metadata` on standard input: every licence allowed, nothing banned.

Usage: cargo metadata --locked --format-version 1 | python3 .ci/check_dependencies.py
"""

import json
import re
import sys

# Permissive licences that sit with MIT OR Apache-2.0. A package passes when, of the choices its
# licence offers (OR), one consists only of these (AND).
ALLOWED = {
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
}

# Why: a second TLS provider in one graph panics at the first handshake; OpenSSL is C; bincode is
# abandoned.
BANNED = {"aws-lc-rs", "aws-lc-sys", "openssl", "openssl-sys", "bincode"}


def is_allowed(licence):
    choices = re.split(r"\s+OR\s+|/", licence.replace("(", "").replace(")", ""))
    return any(
        all(part.strip() in ALLOWED for part in re.split(r"\s+AND\s+", choice))
        for choice in choices
    )


def main():
    packages = json.load(sys.stdin)["packages"]
    faults = []
    for package in packages:
        name = f"{package['name']} {package['version']}"
        licence = package.get("license") or ""
        if not is_allowed(licence):
            faults.append(f"{name}: licence {licence or 'unknown'!r} is not on the list")
        if package["name"] in BANNED:
            faults.append(f"{name}: banned; see ARCHITECTURE.md, Dependencies")
    for fault in faults:
        print(fault, file=sys.stderr)
    print(f"{len(packages)} packages, {len(faults)} faults")
    return 1 if faults else 0


sys.exit(main())

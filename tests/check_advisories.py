"""`make check`: is any pinned package known to be unsafe? Says so when the database cannot be asked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PINS = Path(__file__).parents[1] / "constraints.txt"
SECONDS = 90


def main() -> int:
    command = [sys.executable, "-m", "pip_audit", "-r", str(PINS), "--no-deps", "--disable-pip", "-f", "json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        packages = json.loads(done.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, ValueError) as error:
        print(f"advisories: not checked, the database cannot be asked ({type(error).__name__})")
        return 0
    asked = [package for package in packages if "vulns" in package]
    if not asked:
        print(f"advisories: not checked, the database here knows none of {len(packages)} packages")
        return 0
    known = [(package, advisory) for package in asked for advisory in package["vulns"]]
    for package, advisory in known:
        mended = ", ".join(advisory["fix_versions"]) or "no version yet"
        print(f"{package['name']} {package['version']}: {advisory['id']}, mended in {mended}")
    print(f"advisories: {len(asked)} of {len(packages)} packages checked, {len(known)} known")
    return 1 if any(advisory["fix_versions"] for _, advisory in known) else 0


if __name__ == "__main__":
    sys.exit(main())

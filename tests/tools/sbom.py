"""Holds an SBOM against CycloneDX's schema and the lock file.

    sbom.py FILE
"""

import json
import sys
import tomllib
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

LOCK = Path(__file__).resolve().parents[2] / "Cargo.lock"
# Without these there would be no gateway: an SBOM that has lost them has lost others.
KNOWN = {"tonic", "rustls", "aws-lc-sys", "libsqlite3-sys"}


def main(file: str) -> int:
    text = Path(file).read_text()
    if error := JsonStrictValidator(SchemaVersion.V1_5).validate_str(text):
        print(f"{file}: {error}")
        return 1
    named = {(it["name"], it["version"]) for it in json.loads(text)["components"]}
    locked = {(it["name"], it["version"]) for it in tomllib.loads(LOCK.read_text())["package"]}
    wrong = sorted(named - locked) + sorted(KNOWN - {name for name, _ in named})
    print(f"{file}: {len(named)} of {len(locked)} locked packages are in the binary; wrong: {wrong}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""Holds rendered objects against Kubernetes' schemas, in strict mode.

    schemas.py VERSIONS RENDERED   the last VERSIONS minor versions that are bundled
"""

import sys
from pathlib import Path

import kubernetes_validate
import yaml

# Of the Prometheus operator; `manifests.py` judges them.
CUSTOM = "monitoring.coreos.com/"


def versions(count: int) -> list[str]:
    """The last minor versions of which the package has schemas."""
    folder = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
    names = {entry.name.removeprefix("v").split("-")[0] for entry in folder.iterdir()}
    return sorted(names, key=lambda name: [int(part) for part in name.split(".")])[-count:]


def main(count: str, rendered: str) -> int:
    objects = [it for it in yaml.safe_load_all(Path(rendered).read_text()) if it]
    standard = [it for it in objects if not it["apiVersion"].startswith(CUSTOM)]
    failures = 0
    for version in versions(int(count)):
        for it in standard:
            try:
                kubernetes_validate.validate(it, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                failures += 1
                place = ".".join(map(str, error.absolute_path))
                print(f"{version}: {it['kind']} {it['metadata']['name']}: {place}: {error.message}")
    print(f"{len(standard)} of {len(objects)} objects, schemas of {versions(int(count))}: {failures} failures")
    return 1 if failures or not standard else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

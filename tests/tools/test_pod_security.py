"""Kubernetes' own manifests of the restricted standard: it takes these and refuses those.

POD_SECURITY_DATA is the folder of one version in the module k8s.io/pod-security-admission.
"""

import os
import unittest
from pathlib import Path

import pod_security
import yaml

DATA = Path(os.environ["POD_SECURITY_DATA"])


def judged(name: str) -> dict[str, list[str]]:
    """The violations of each pod in a folder."""
    pods = {file.name: yaml.safe_load(file.read_text()) for file in (DATA / name).iterdir()}
    return {
        file: pod_security.violations(pod["metadata"], pod["spec"]) for file, pod in pods.items()
    }


class S26(unittest.TestCase):
    def test_what_the_standard_takes_has_no_violation(self) -> None:
        found = {file: problems for file, problems in judged("pass").items() if problems}
        self.assertEqual(found, {})
        self.assertGreaterEqual(len(judged("pass")), 20)

    def test_what_the_standard_refuses_has_a_violation(self) -> None:
        missed = [file for file, problems in judged("fail").items() if not problems]
        self.assertEqual(missed, [])
        self.assertGreaterEqual(len(judged("fail")), 70)
        print(f"{len(judged('pass'))} pods taken, {len(judged('fail'))} refused")


if __name__ == "__main__":
    unittest.main()

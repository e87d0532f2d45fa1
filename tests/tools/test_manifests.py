"""Each judge finds what it is for: the production overlay, spoilt in one place at a time.

RENDERED is the rendered overlay.
"""

import copy
import os
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

import manifests
import yaml

OBJECTS = [it for it in yaml.safe_load_all(Path(os.environ["RENDERED"]).read_text()) if it]

Spoil = Callable[[manifests.Overlay], Any]




def policy(it: manifests.Overlay, name: str) -> dict[str, Any]:
    return next(p["spec"] for p in it.all("NetworkPolicy") if p["metadata"]["name"] == name)


def rule_of_port(it: manifests.Overlay, number: int) -> dict[str, Any]:
    rules = policy(it, "partner-gateway")["egress"]
    return next(rule for rule in rules if rule["ports"][0]["port"] == number)


SPOILT: dict[str, Spoil] = {
    "hardened: hostNetwork is true": lambda it: it.pod.update(hostNetwork=True),
    "hardened: the root file system": lambda it: it.container["securityContext"].pop("readOnlyRootFilesystem"),
    "hardened: the user": lambda it: it.pod["securityContext"].update(runAsUser=1000),
    "hardened: the pod has a token": lambda it: it.pod.pop("automountServiceAccountToken"),
    "hardened: the namespace": lambda it: it.one("Namespace")["metadata"].update(labels={}),
    "hardened: requests or the limit": lambda it: it.container["resources"].update(limits={}),
    "hardened: callers' messages": lambda it: it.settings["grpc"].pop("max_calls"),
    "hardened: a secret": lambda it: it.objects.append({"kind": "Secret", "metadata": {}}),
    "hardened: settings come": lambda it: it.container.update(env=[{"name": "A", "value": "b"}]),
    "referred: Service is not in": lambda it: it.one("Service")["metadata"].update(namespace="default"),
    "referred: the ConfigMap is another": lambda it: it.one("ConfigMap")["metadata"].update(name="other"),
    "referred: --config": lambda it: it.container.update(args=["serve", "--config", "/other.toml"]),
    "referred: the example makes other": lambda it: it.settings["partners"].pop("trolley"),
    "referred: the journal": lambda it: it.settings["store"].update(journal_file="/tmp/journal"),
    "referred: the service account": lambda it: it.pod.update(serviceAccountName="default"),
    "ports: the container's ports": lambda it: it.settings["grpc"].update(listen="0.0.0.0:1"),
    "ports: livenessProbe asks": lambda it: it.container["livenessProbe"]["grpc"].update(service="readiness"),
    "ports: readinessProbe does not wait": lambda it: it.container["readinessProbe"].pop("timeoutSeconds"),
    "ports: the Service is not headless": lambda it: it.one("Service")["spec"].pop("clusterIP"),
    "ports: the Service has other": lambda it: it.one("Service")["spec"]["ports"][0].update(targetPort=1),
    "times: 60 s are less": lambda it: it.settings["grpc"].update(drain_timeout="1m"),
    "times: endpoints take": lambda it: it.settings["grpc"].update(drain_delay="500ms"),
    "rolled_out: a roll-out takes": lambda it: it.deployment["spec"]["strategy"]["rollingUpdate"].update(maxUnavailable=1),
    "rolled_out: the Deployment and": lambda it: it.deployment["spec"].update(replicas=3),
    "rolled_out: production has fewer": lambda it: it.one("HorizontalPodAutoscaler")["spec"].update(minReplicas=2),
    "rolled_out: shared_limits.replicas is not 11": lambda it: it.settings["shared_limits"].pop("replicas"),
    "rolled_out: callers need 60 s": lambda it: it.deployment["spec"].update(minReadySeconds=5),
    "rolled_out: the disruption budget": lambda it: it.one("PodDisruptionBudget")["spec"].update(selector={}),
    "rolled_out: pods are spread": lambda it: it.pod["topologySpreadConstraints"].pop(),
    "watched: the PodMonitor scrapes": lambda it: it.one("PodMonitor")["spec"]["podMetricsEndpoints"][0].update(path="/"),
    "watched: the PrometheusRule is not": lambda it: it.one("PrometheusRule").update(spec={"groups": []}),
    "enclosed: not everything is denied": lambda it: policy(it, "default-deny").update(egress=[{}]),
    "enclosed: ingress from anywhere": lambda it: policy(it, "partner-gateway")["ingress"][0].pop("from"),
    "enclosed: ingress to": lambda it: policy(it, "partner-gateway")["ingress"].pop(),
    "enclosed: egress to other ports": lambda it: policy(it, "partner-gateway")["egress"].pop(),
    "enclosed: egress to anywhere": lambda it: rule_of_port(it, 6379).pop("to"),
    "enclosed: egress to 169.254.169.254/32": lambda it: rule_of_port(it, 443)["to"][0]["ipBlock"].pop("except"),
    "enclosed: egress to fc00::1/128": lambda it: rule_of_port(it, 443)["to"][1]["ipBlock"].update(cidr="::/0"),
}


class S26S27(unittest.TestCase):
    def test_each_spoilt_place_is_found(self) -> None:
        for expected, spoil in SPOILT.items():
            with self.subTest(expected):
                overlay = manifests.Overlay(copy.deepcopy(OBJECTS))
                spoil(overlay)
                found = list(manifests.problems(overlay))
                self.assertTrue(any(it.startswith(expected) for it in found), found)


if __name__ == "__main__":
    unittest.main()

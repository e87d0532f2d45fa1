"""What must be true of an overlay and of no single file: references, ports, times, labels.

    manifests.py check FOLDER RENDERED   judges an overlay's rendered objects
    manifests.py rule                    writes the PrometheusRule from Prometheus' own file
"""

import re
import sys
import tomllib
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pod_security
import yaml

Object = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
ALERTS = ROOT / "deploy/prometheus/alerts.yaml"
DEFAULTS = ROOT / "config.default.toml"
RULE = ROOT / "deploy/kubernetes/base/prometheus-rule.yaml"
RUNBOOK = ROOT / "docs/runbook.md"
SECRETS = ROOT / "deploy/kubernetes/secrets/kustomization.yaml"
HEADER = "# Made from deploy/prometheus/alerts.yaml by `tests/tools/manifests.py rule`.\n"

SECRET_FOLDER = "/run/secrets/partner-gateway/"
# Nobody's but the network's own: what a partner's name must not lead to.
PRIVATE = ["10.1.2.3/32", "100.64.0.1/32", "127.0.0.1/32", "169.254.169.254/32", "172.16.0.1/32",
           "192.168.0.1/32", "fc00::1/128", "fe80::1/128"]  # fmt: skip
EGRESS = {53, 443, 4317, 5432, 6379}
# Longer than the gateway's own clocks may be off its process's end.
TO_SPARE = 10
# gRPC's shortest pause between two look-ups of a name, and the longest that DNS is cached.
RESOLVED = 30 + 30


class Overlay:
    """The objects of an overlay, by kind and name, and the gateway's settings in it."""

    def __init__(self, objects: list[Object]) -> None:
        self.objects = objects
        self.deployment = self.one("Deployment")
        self.template = self.deployment["spec"]["template"]
        self.pod = self.template["spec"]
        self.container = self.pod["containers"][0]
        self.labels = self.template["metadata"]["labels"]
        self.settings = tomllib.loads(self.one("ConfigMap")["data"]["gateway.toml"])
        self.defaults = tomllib.loads(DEFAULTS.read_text())

    def all(self, kind: str) -> list[Object]:
        return [it for it in self.objects if it["kind"] == kind]

    def one(self, kind: str) -> Object:
        found = self.all(kind)
        if len(found) != 1:
            raise ValueError(f"{len(found)} objects of kind {kind}")
        return found[0]

    def selects(self, selector: Object) -> bool:
        """Whether matchLabels, or a Service's selector, are of our pods."""
        labels = selector.get("matchLabels", selector)
        return bool(labels) and labels.items() <= self.labels.items()

    def grpc(self, key: str) -> Any:
        return self.setting("grpc", key)

    def setting(self, section: str, key: str) -> Any:
        return self.settings[section].get(key, self.defaults[section][key])

    def port(self, section: str) -> int:
        return int(self.settings[section]["listen"].rsplit(":", 1)[1])


def problems(overlay: Overlay) -> Iterator[str]:
    """Everything that is wrong."""
    for judge in (hardened, referred, ports, times, rolled_out, watched, enclosed):
        for problem in judge(overlay):
            yield f"{judge.__name__}: {problem}"


def hardened(it: Overlay) -> Iterator[str]:
    yield from pod_security.violations(it.template["metadata"], it.pod)
    labels = it.one("Namespace")["metadata"]["labels"]
    if labels.get("pod-security.kubernetes.io/enforce") != "restricted":
        yield "the namespace does not enforce the restricted standard"
    if it.container["securityContext"].get("readOnlyRootFilesystem") is not True:
        yield "the root file system can be written"
    if it.pod["securityContext"].get("runAsUser", 0) < 10_000:
        yield "the user is not a number that no machine has"
    for holder in (it.pod, it.one("ServiceAccount")):
        if holder.get("automountServiceAccountToken") is not False:
            yield "the pod has a token of the API server"
    resources = it.container["resources"]
    if not {"cpu", "memory"} <= resources["requests"].keys() or "memory" not in resources["limits"]:
        yield "requests or the limit on memory are missing"
    elif 2 * it.grpc("max_calls") * it.grpc("max_message_bytes") > mebibytes(resources["limits"]["memory"]):
        yield "callers' messages can take more than half of the memory"
    if it.all("Secret"):
        yield "a secret is in the repository"
    if it.container.get("env") or it.container.get("envFrom"):
        yield "settings come from the environment, which the file does not show"


def mebibytes(text: str) -> int:
    return int(text.removesuffix("Mi")) << 20


def referred(it: Overlay) -> Iterator[str]:
    namespace = it.one("Namespace")["metadata"]["name"]
    for other in it.objects:
        if other["kind"] != "Namespace" and other["metadata"].get("namespace") != namespace:
            yield f"{other['kind']} is not in {namespace}"
    volumes = {volume["name"]: volume for volume in it.pod["volumes"]}
    paths = {mount["name"]: mount["mountPath"] for mount in it.container["volumeMounts"]}
    if volumes["configuration"]["configMap"]["name"] != it.one("ConfigMap")["metadata"]["name"]:
        yield "the ConfigMap is another one"
    if it.container["args"][-1] != f"{paths['configuration']}/gateway.toml":
        yield "--config is not where the ConfigMap is"
    if f"{paths['secrets']}/" != SECRET_FOLDER:
        yield f"secrets are not in {SECRET_FOLDER}"
    made = {name for it in yaml.safe_load(SECRETS.read_text())["secretGenerator"] for name in it["files"]}
    read = set(secret_files(it.settings))
    if made != read:
        yield f"the example makes other secrets than are read: {sorted(made ^ read)}"
    if not it.settings["store"]["journal_file"].startswith(f"{paths['journal']}/"):
        yield "the journal is not on its volume"
    if it.pod["serviceAccountName"] != it.one("ServiceAccount")["metadata"]["name"]:
        yield "the service account is another one"


def secret_files(settings: Object) -> Iterator[str]:
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from secret_files(value)
        elif isinstance(value, str) and value.startswith(SECRET_FOLDER):
            yield value.removeprefix(SECRET_FOLDER)
        elif key.endswith(("secret", "_key")):
            yield f"{key}, which is in the file itself"


def ports(it: Overlay) -> Iterator[str]:
    grpc, operations = it.port("grpc"), it.port("operations")
    named = {port["name"]: port["containerPort"] for port in it.container["ports"]}
    if named != {"grpc": grpc, "operations": operations}:
        yield f"the container's ports are {named}"
    names = {"startupProbe": "liveness", "livenessProbe": "liveness", "readinessProbe": "readiness"}
    for probe, service in names.items():
        asked = it.container[probe]["grpc"]
        if asked != {"port": operations, "service": service}:
            yield f"{probe} asks {asked}"
        # The probes' own default would fail a pod for one slow second.
        if it.container[probe].get("timeoutSeconds", 1) < 2:
            yield f"{probe} does not wait"
    service = it.one("Service")["spec"]
    if service.get("clusterIP") != "None" or not it.selects(service["selector"]):
        yield "the Service is not headless, or not of these pods"
    if [port["targetPort"] for port in service["ports"]] != [grpc]:
        yield "the Service has other ports"


def times(it: Overlay) -> Iterator[str]:
    sleep = it.container["lifecycle"]["preStop"]["sleep"]["seconds"]
    delay, drain = (seconds(it.grpc(key)) for key in ("drain_delay", "drain_timeout"))
    grace = it.pod["terminationGracePeriodSeconds"]
    if grace < sleep + delay + drain + TO_SPARE:
        yield f"{grace} s are less than {sleep} + {delay} + {drain} + {TO_SPARE} s"
    if min(sleep, delay) < 5:
        yield "endpoints take some seconds to follow"


def seconds(text: str) -> float:
    number, unit = re.fullmatch(r"([0-9.]+)(ms|s|m|h)", text).groups()
    return float(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[unit]


def rolled_out(it: Overlay) -> Iterator[str]:
    spec = it.deployment["spec"]
    if spec["strategy"]["rollingUpdate"]["maxUnavailable"] != 0:
        yield "a roll-out takes replicas away"
    if "replicas" in spec:
        yield "the Deployment and the autoscaler both count replicas"
    scaler = it.one("HorizontalPodAutoscaler")["spec"]
    if scaler["scaleTargetRef"]["name"] != it.deployment["metadata"]["name"]:
        yield "the autoscaler scales something else"
    is_production = it.settings["grpc"]["reflection"] is False
    if is_production and scaler["minReplicas"] < 3:
        yield "production has fewer than 3 replicas"
    most = scaler["maxReplicas"] + spec["strategy"]["rollingUpdate"]["maxSurge"]
    if it.setting("shared_limits", "replicas") != most:
        yield f"shared_limits.replicas is not {most}, the most pods that share a quota"
    if spec.get("minReadySeconds", 0) < RESOLVED:
        yield f"callers need {RESOLVED} s to hear of a new pod"
    budget = it.one("PodDisruptionBudget")["spec"]
    if budget.get("maxUnavailable") != 1 or not it.selects(budget["selector"]):
        yield "the disruption budget is not one of these pods"
    spread = it.pod["topologySpreadConstraints"]
    keys = {rule["topologyKey"] for rule in spread if it.selects(rule["labelSelector"])}
    if keys != {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}:
        yield f"pods are spread over {sorted(keys)}"


def watched(it: Overlay) -> Iterator[str]:
    monitor = it.one("PodMonitor")
    if monitor["apiVersion"] != "monitoring.coreos.com/v1" or not it.selects(monitor["spec"]["selector"]):
        yield "the PodMonitor is not of these pods"
    endpoints = [(it["port"], it["path"]) for it in monitor["spec"]["podMetricsEndpoints"]]
    if endpoints != [("operations", "/metrics")]:
        yield f"the PodMonitor scrapes {endpoints}"
    rule, alerts = it.one("PrometheusRule"), yaml.safe_load(ALERTS.read_text())
    if rule["apiVersion"] != "monitoring.coreos.com/v1" or rule["spec"] != alerts:
        yield "the PrometheusRule is not deploy/prometheus/alerts.yaml: run manifests.py rule"
    rules = [rule for group in alerts["groups"] for rule in group["rules"]]
    named = {rule["alert"]: rule for rule in rules if "alert" in rule}
    headings = set(re.findall(r"^### `?(\w+)`?$", RUNBOOK.read_text(), re.MULTILINE))
    if headings != named.keys():
        yield f"alerts and the runbook's headings differ: {sorted(headings ^ named.keys())}"
    for name, alert in named.items():
        annotations = alert.get("annotations", {})
        if not annotations.get("runbook_url", "").endswith(f"docs/runbook.md#{name.lower()}"):
            yield f"{name} does not lead to the runbook"
        if not annotations.get("summary") or not alert.get("labels", {}).get("severity"):
            yield f"{name} has no summary or no severity"


def enclosed(it: Overlay) -> Iterator[str]:
    policies = {policy["metadata"]["name"]: policy["spec"] for policy in it.all("NetworkPolicy")}
    both = {"Ingress", "Egress"}
    nothing = policies.get("default-deny", {})
    if set(nothing.get("policyTypes", [])) != both or nothing.keys() - {"podSelector", "policyTypes"}:
        yield "not everything is denied that is not named"
    if nothing.get("podSelector") != {}:
        yield "the denial is not of every pod"
    ours = policies.pop("partner-gateway")
    if len(policies) != 1 or not it.selects(ours["podSelector"]) or set(ours["policyTypes"]) != both:
        yield "there are other policies, or not of these pods"
    opened = [port["port"] for rule in ours["ingress"] for port in rule["ports"]]
    if sorted(opened) != sorted([it.port("grpc"), it.port("operations")]):
        yield f"ingress to {opened}"
    if any("namespaceSelector" not in peer for rule in ours["ingress"] for peer in rule.get("from", [{}])):
        yield "ingress from anywhere"
    if {port["port"] for rule in ours["egress"] for port in rule["ports"]} != EGRESS:
        yield "egress to other ports"
    for rule in ours["egress"]:
        yield from egress(rule)


def egress(rule: Object) -> Iterator[str]:
    ports_of = {port["port"] for port in rule["ports"]}
    for peer in rule.get("to", [{}]):
        block = peer.get("ipBlock")
        if not block and "namespaceSelector" not in peer:
            yield f"egress to anywhere on {ports_of}"
        for address in map(ip_network, PRIVATE if block else []):
            holes = map(ip_network, block.get("except", []))
            if covers(ip_network(block["cidr"]), address) and not any(covers(it, address) for it in holes):
                yield f"egress to {address} on {ports_of}"


def covers(network: Any, address: Any) -> bool:
    return network.version == address.version and address.subnet_of(network)


def write_rule() -> None:
    metadata = {"name": "partner-gateway"}
    rule = {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": metadata}
    rule["spec"] = yaml.safe_load(ALERTS.read_text())
    RULE.write_text(HEADER + yaml.safe_dump(rule, sort_keys=False, width=120))


def main(arguments: list[str]) -> int:
    match arguments:
        case ["rule"]:
            write_rule()
            return 0
        case ["check", name, rendered]:
            objects = [it for it in yaml.safe_load_all(Path(rendered).read_text()) if it]
            found = list(problems(Overlay(objects)))
            print(*(f"{name}: {problem}" for problem in found), sep="\n", end="\n" if found else "")
            print(f"{name}: {len(objects)} objects, {len(found)} problems")
            return 1 if found else 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

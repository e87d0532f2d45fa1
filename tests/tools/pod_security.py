"""The restricted Pod Security standard, as the API server would apply it to a pod.

Written from the standard's text. `test_pod_security.py` holds it against the manifests
that Kubernetes publishes of each rule.
"""

from collections.abc import Iterator
from typing import Any

Object = dict[str, Any]

VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image",
    "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip
SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_notsent_lowat",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_slow_start_after_idle",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
}
SELINUX_TYPES = {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
PROFILES = {"RuntimeDefault", "Localhost"}
APPARMOR = "container.apparmor.security.beta.kubernetes.io/"


def violations(metadata: Object, spec: Object) -> list[str]:
    """Everything in a pod that the restricted standard refuses; nothing if it is taken."""
    return [*_of_pod(metadata, spec), *_of_containers(spec)]


def _of_pod(metadata: Object, spec: Object) -> Iterator[str]:
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(name):
            yield f"{name} is true"
    for name, profile in (metadata.get("annotations") or {}).items():
        is_taken = profile in ("", "runtime/default") or profile.startswith("localhost/")
        if name.startswith(APPARMOR) and not is_taken:
            yield f"{name} is {profile}"
    for volume in spec.get("volumes") or []:
        for kind in volume.keys() - {"name"} - VOLUMES:
            yield f"volume {volume['name']} is a {kind}"
    context = spec.get("securityContext") or {}
    for sysctl in context.get("sysctls") or []:
        if sysctl["name"] not in SYSCTLS:
            yield f"sysctl {sysctl['name']} is set"
    yield from _of_context("pod", context, spec)


def _of_containers(spec: Object) -> Iterator[str]:
    pod = spec.get("securityContext") or {}
    is_windows = (spec.get("os") or {}).get("name") == "windows"
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(kind) or []:
            name = f"container {container['name']}"
            context = container.get("securityContext") or {}
            yield from _of_context(name, context, spec)
            yield from _of_root(name, {**pod, **context}, spec)
            yield from _of_ports_and_hooks(name, container)
            if not is_windows:
                yield from _of_linux(name, context, pod)


def _of_context(name: str, context: Object, spec: Object) -> Iterator[str]:
    """What is refused wherever it stands, in a pod or in a container."""
    if context.get("privileged"):
        yield f"{name}: privileged"
    if context.get("procMount", "Default") != "Default":
        yield f"{name}: procMount is not Default"
    if (context.get("windowsOptions") or {}).get("hostProcess"):
        yield f"{name}: hostProcess"
    for field, taken in (("seccompProfile", PROFILES), ("appArmorProfile", PROFILES)):
        kind = (context.get(field) or {}).get("type")
        if kind is not None and kind not in taken:
            yield f"{name}: {field} is {kind}"
    linux = context.get("seLinuxOptions") or {}
    if linux.get("type", "") not in SELINUX_TYPES or linux.get("user") or linux.get("role"):
        yield f"{name}: seLinuxOptions"
    if context.get("runAsUser") == 0 and spec.get("hostUsers") is not False:
        yield f"{name}: runAsUser is 0"


def _of_root(name: str, merged: Object, spec: Object) -> Iterator[str]:
    if merged.get("runAsNonRoot") is not True and spec.get("hostUsers") is not False:
        yield f"{name}: runAsNonRoot is not true"


def _of_linux(name: str, context: Object, pod: Object) -> Iterator[str]:
    """What has to be there."""
    if context.get("allowPrivilegeEscalation") is not False:
        yield f"{name}: allowPrivilegeEscalation is not false"
    capabilities = context.get("capabilities") or {}
    if "ALL" not in (capabilities.get("drop") or []):
        yield f"{name}: does not drop ALL capabilities"
    if added := set(capabilities.get("add") or []) - {"NET_BIND_SERVICE"}:
        yield f"{name}: adds {sorted(added)}"
    if not (context.get("seccompProfile") or pod.get("seccompProfile")):
        yield f"{name}: has no seccompProfile"


def _of_ports_and_hooks(name: str, container: Object) -> Iterator[str]:
    for port in container.get("ports") or []:
        if port.get("hostPort"):
            yield f"{name}: hostPort {port['hostPort']}"
    probes = ("livenessProbe", "readinessProbe", "startupProbe")
    lifecycle = container.get("lifecycle") or {}
    hooks = [container.get(probe) for probe in probes]
    for hook in [*hooks, lifecycle.get("preStop"), lifecycle.get("postStart")]:
        for action in ("httpGet", "tcpSocket"):
            if ((hook or {}).get(action) or {}).get("host"):
                yield f"{name}: a probe or hook asks another host"

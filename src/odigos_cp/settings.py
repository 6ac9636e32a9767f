"""What an operator may set for the process: each setting, its default and its explanation in one place.

The command line is made from these fields (`snake_case` becomes `--kebab-case`), and each has an environment variable
`ODIGOS_<NAME>` that a Deployment may use instead; the flag wins. What users of the cluster may set is not here but in
the OdigosConfiguration object.
"""

from __future__ import annotations

import secrets
import socket
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from odigos_cp.api.meta import SYSTEM_NAMESPACE
from odigos_cp.release import VERSION

LOG_FORMATS = ("auto", "json", "console")
LOG_LEVELS = ("debug", "info", "warning", "error")
LIFE = secrets.token_hex(4)
"""Of this life of the process: after a restart the same pod is another replica (kube/leader.py says why)."""
LEASE_SECONDS = (1.0, 300.0)
"""The shortest and the longest Lease that there may be: kube/leader.py has the reasons."""
CONTROLLERS = ("instrumentor", "autoscaler", "scheduler", "ui")
"""The four tasks of the one process."""


def _setting(default: Any, help_: str, **metadata: Any) -> Any:
    return field(default=default, metadata={"help": help_, **metadata})


def _mapping(help_: str, default: dict[str, str] | None = None) -> Any:
    return field(default_factory=lambda: dict(default or {}), metadata={"help": help_, "mapping": True})


@dataclass(frozen=True)
class Settings:
    """Mappings are given as repeated `--flag key=value`, or as `key=value,key=value` in the variable."""

    controllers: str = _setting("*", "Tasks to run: *, name, -name; for example '*,-autoscaler'.")
    namespace: str = _setting(SYSTEM_NAMESPACE, "The namespace odigos-cp and its collectors live in.")
    kubeconfig: str = _setting("", "Path of a kubeconfig; empty: the pod's own service account, else ~/.kube/config.")
    context: str = _setting("", "Context of the kubeconfig; empty: its current one.")
    request_timeout: float = _setting(15.0, "Seconds any call to the API server may take.")
    leader_elect: bool = _setting(True, "Only the holder of the Lease runs the controllers.")
    lease_seconds: float = _setting(15.0, "How long a leader that has gone silent keeps others waiting.")
    ui_address: str = _setting("127.0.0.1", "Address the UI listens on; the default is reached by port-forward only.")
    ui_port: int = _setting(3000, "Port of the UI.")
    ui_allowed_hosts: str = _setting("", "Comma-separated host names, besides localhost, that browsers may use.")
    probe_address: str = _setting("0.0.0.0", "Address of /healthz, /readyz and /metrics.")  # noqa: S104 - the kubelet probes the pod's address
    probe_port: int = _setting(8080, "Port of /healthz, /readyz and /metrics.")
    webhook: bool = _setting(True, "Serve the admission webhook that injects the agents.")
    webhook_address: str = _setting("0.0.0.0", "Address of the webhook.")  # noqa: S104 - the API server calls the pod's address
    webhook_port: int = _setting(9443, "Port of the webhook.")
    detector_image: str = _setting(f"odigos-cp/detector:{VERSION}", "Image of the detector pod.")
    collector_image: str = _setting("otel/opentelemetry-collector-contrib:0.155.0", "Image of the collectors.")
    collector_command: str = _setting("/otelcol-contrib", "Path of the collector in its image.")
    agent_images: dict[str, str] = _mapping(  # noqa: RUF009 - returns a dataclass field, like field() itself
        "Agent images by language, language=image.",
        {language: f"odigos-cp/agent-{language}:{VERSION}" for language in ("java", "python", "nodejs")},
    )
    log_format: Literal["auto", "json", "console"] = _setting("auto", "auto: readable on a terminal, else JSON.")
    log_level: Literal["debug", "info", "warning", "error"] = _setting("info", "The least level that is logged.")
    pod_name: str = _setting("", "This pod's name (downward API); empty outside a cluster.", env="POD_NAME")
    pod_uid: str = _setting("", "This pod's uid (downward API).", env="POD_UID")

    @property
    def identity(self) -> str:
        """Who holds the Lease: where the process runs, for a person, and which life of it."""
        return f"{self.pod_name or socket.gethostname()}_{LIFE}"

    def runs(self, task: str) -> bool:
        return task in selected(self.controllers)


def selected(text: str) -> frozenset[str]:
    """The tasks that `--controllers` names: `*` is all, `name` adds one, `-name` takes one away, in the order given.

    A text that only takes away starts from all. An unknown name is an error, not silence.
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise ValueError("--controllers is empty: give *, or some of " + ", ".join(CONTROLLERS))
    for word in words:
        if word != "*" and word.removeprefix("-") not in CONTROLLERS:
            raise ValueError(
                f"--controllers: there is no {word.removeprefix('-')!r}; known: *, " + ", ".join(CONTROLLERS)
            )
    chosen = set(CONTROLLERS) if all(word.startswith("-") for word in words) else set()
    for word in words:
        if word == "*":
            chosen |= set(CONTROLLERS)
        elif word.startswith("-"):
            chosen.discard(word[1:])
        else:
            chosen.add(word)
    return frozenset(chosen)


def checked(settings: Settings) -> Settings:
    """The same settings, or an error that names the one whose value is none of its choices, or out of bounds."""
    selected(settings.controllers)
    for name, choices in (("log_format", LOG_FORMATS), ("log_level", LOG_LEVELS)):
        if getattr(settings, name) not in choices:
            raise ValueError(
                f"--{name.replace('_', '-')}: {getattr(settings, name)!r} is none of " + ", ".join(choices)
            )
    least, most = LEASE_SECONDS
    if not least <= settings.lease_seconds <= most:
        raise ValueError(f"--lease-seconds: {settings.lease_seconds:g} is not from {least:g} to {most:g}")
    return settings


def environment_name(setting: Any) -> str:
    return setting.metadata.get("env") or f"ODIGOS_{setting.name.upper()}"


def mapping(texts: list[str], name: str) -> dict[str, str]:
    """`key=value` texts as a mapping; a text without `=` is an error that says so."""
    pairs = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key and equals and value):
            raise ValueError(f"{name}: {text!r} is not key=value")
        pairs[key] = value
    return pairs


def from_environment(environ: dict[str, str]) -> dict[str, Any]:
    """The settings that environment variables give, by field name; a value of the wrong type is a named error."""
    given: dict[str, Any] = {}
    defaults = Settings()
    for setting in fields(Settings):
        text = environ.get(environment_name(setting))
        if text is None or text == "":
            continue
        try:
            given[setting.name] = parse(text, getattr(defaults, setting.name), environment_name(setting))
        except ValueError as error:
            raise ValueError(f"{environment_name(setting)}: {error}") from None
    return given


def parse(text: str, like: Any, name: str) -> Any:
    """`text` as a value of the type of `like`."""
    if isinstance(like, bool):
        words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
        if text.lower() not in words:
            raise ValueError(f"{text!r} is not true or false")
        return words[text.lower()]
    if isinstance(like, dict):
        return like | mapping([part for part in text.split(",") if part], name)
    if isinstance(like, int):
        return int(text)
    if isinstance(like, float):
        return float(text)
    return text

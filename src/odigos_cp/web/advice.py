"""What can a person do about a state? One sentence a reason, where something is up to a person at all.

The message of a condition says what is the case, in the words of the controller that found it; this says what to do.
A reason that is not here either passes by itself or is what was wanted.
"""

from __future__ import annotations

from collections.abc import Mapping

from odigos_cp.api.application import (
    AgentReason,
    AssignedReason,
    DetectedReason,
    PodsInjectedReason,
    RolledOutReason,
)
from odigos_cp.api.collectors import GroupReason
from odigos_cp.api.destination import ConfiguredReason, DeliveringReason

_OVERRIDE = "containerOverrides[].runtimeInfo.language"

ADVICE: Mapping[str, str] = {
    DetectedReason.NO_KNOWN_LANGUAGE: f"If you know better, name the language in its Source: {_OVERRIDE}.",
    DetectedReason.WAITING_FOR_POD: "Find out why none of its pods is ready: kubectl describe pods.",
    DetectedReason.DETECTOR_FAILED: f"It is tried again by itself. Or name the language in its Source: {_OVERRIDE}.",
    DetectedReason.DETECTOR_TIMED_OUT: "It is tried again by itself. See whether pods can start on that node.",
    DetectedReason.INVALID_REPORT: f"Name the language in its Source instead: {_OVERRIDE}.",
    AssignedReason.NO_DESTINATION: "Add a destination; this application then goes on by itself.",
    AssignedReason.NO_COLLECTOR: "Wait until the collectors run; the overview shows what keeps them.",
    AgentReason.NO_SIGNALS: "Add a destination that takes a signal which this language's agent can send.",
    AgentReason.UNKNOWN_LANGUAGE: f"If you know better, name the language in its Source: {_OVERRIDE}.",
    AgentReason.NO_AGENT: "Nothing yet: there is no agent for this language here. Take the wish back to clear this.",
    AgentReason.COMPILED_LANGUAGE: "Nothing yet: compiled programs are left alone. Take the wish back to clear this.",
    AgentReason.VERSION_NOT_SUPPORTED: "Move the application to a version that the agent supports.",
    AgentReason.OTHER_AGENT: "Take the other agent out of the application, or take this wish back.",
    AgentReason.ENVIRONMENT_UNKNOWN: "Start the process with its environment readable, or take this wish back.",
    AgentReason.IGNORED_CONTAINER: "If it is meant, take its name out of ignoredContainers in odigos-config.",
    AgentReason.UNKNOWN_AGENT: "Name an agent that exists in its Source, or leave otelDistroName out.",
    AgentReason.SECURE_EXECUTION: "Run it without file capabilities or set-user-id, or take this wish back.",
    RolledOutReason.CONFLICT: "Find who else writes this label: kubectl get --show-managed-fields.",
    RolledOutReason.FAILED: "See what its pods say: kubectl describe pods. Switching it off takes it back.",
    RolledOutReason.PAUSED: "Resume the roll-out when it suits: kubectl rollout resume.",
    RolledOutReason.MANUAL: "Restart it when it suits you.",
    PodsInjectedReason.SOME: "Restart the workload: kubectl rollout restart.",
    PodsInjectedReason.NONE: "Restart the workload: kubectl rollout restart.",
    PodsInjectedReason.NO_PODS: "Scale it up to see data.",
    ConfiguredReason.UNKNOWN_TYPE: "Delete it, and add one of a type of the catalogue.",
    ConfiguredReason.INVALID_FIELD: "Delete it and add it again with this field corrected.",
    ConfiguredReason.MISSING_FIELD: "Delete it and add it again with this field filled in.",
    ConfiguredReason.SIGNAL_NOT_SUPPORTED: "Delete it and add it again without that signal.",
    ConfiguredReason.NO_SIGNALS: "Delete it and add it again with at least one signal.",
    DeliveringReason.NOT_ACCEPTING: "See whether the back end runs, at this address, and lets us in.",
    DeliveringReason.NO_DATA_YET: "Instrument an application, or use one that is instrumented.",
    DeliveringReason.METRICS_UNREADABLE: "Allow the control plane to reach port 8888 of the gateway.",
    GroupReason.PODS_NOT_READY: "See what they say: kubectl -n odigos-system describe pods.",
    GroupReason.APPLY_FAILED: "See the log of odigos-cp: kubectl -n odigos-system logs deploy/odigos.",
}


def on(reason: str, status: str = "") -> str:
    """What to do about a condition with this reason; nothing about one that is satisfied."""
    return "" if status == "True" else ADVICE.get(reason, "")

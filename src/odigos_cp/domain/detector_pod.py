"""The detector's Pod: what it is asked, how it looks, and what became of it.

It runs on the node of the pod it looks at, may read processes and nothing else, and ends by itself. The question stands
on it as an annotation, so that its answer is understood by whoever comes next, whatever has happened meanwhile.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from odigos_cp.api import report
from odigos_cp.api.builtin import PODS, Pod
from odigos_cp.api.meta import MANAGED_BY, MANAGED_LABEL, Key
from odigos_cp.api.report import Container, UnbelievableError
from odigos_cp.domain import conditions
from odigos_cp.domain.plan import Create, Delete

COMPONENT_LABEL: Final = "app.kubernetes.io/component"
COMPONENT = "detector"
ABOUT_ANNOTATION: Final = "odigos.io/detects"
QUESTION_ANNOTATION: Final = "odigos.io/question"
DEADLINE_SECONDS = 30
LOST_SECONDS = 90.0
"""After so long a detector that has not ended never will: its node is gone."""
CONTAINER_LIMIT = 16
"""Of one pod; more would not fit into one answer."""


@dataclass(frozen=True)
class Looked:
    """One container as it was when the question was asked."""

    id: str
    image_id: str


@dataclass(frozen=True)
class Question:
    """Which containers of which pod are looked at. `attempt` makes a new name for a new try."""

    application: Key
    application_uid: str
    pod: str
    pod_uid: str
    node: str
    containers: Mapping[str, Looked]
    attempt: int = 0
    injected: str = ""
    """The hash of the plan that the pod was injected with: its environment then holds edits of ours."""

    @property
    def digest(self) -> str:
        ids = ",".join(f"{name}={looked.id}" for name, looked in sorted(self.containers.items()))
        text = "\n".join((self.application_uid, self.pod_uid, ids, str(self.attempt)))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def name(self) -> str:
        return f"odigos-detector-{self.digest[:16]}"

    @property
    def nonce(self) -> str:
        return self.digest[16:48]

    def wire(self) -> str:
        containers = {name: [looked.id, looked.image_id] for name, looked in self.containers.items()}
        told = {
            "uid": self.application_uid,
            "pod": [self.pod, self.pod_uid, self.node],
            "containers": containers,
            "attempt": self.attempt,
            "injected": self.injected,
        }
        return json.dumps(told, separators=(",", ":"))


class Fate(StrEnum):
    RUNNING = "running"
    ANSWERED = "answered"
    TIMED_OUT = "timedOut"
    FAILED = "failed"
    UNBELIEVABLE = "unbelievable"


@dataclass(frozen=True)
class Outcome:
    fate: Fate
    answers: Mapping[str, Container]
    message: str = ""
    """For a person: what went wrong."""


def question_of(pod: Pod) -> Question | None:
    """The question that a detector's Pod was made for; None if somebody has scribbled on it."""
    try:
        told = json.loads(pod.metadata.annotations[QUESTION_ANNOTATION])
        name, uid, node = told["pod"]
        containers = {str(c): Looked(str(v[0]), str(v[1])) for c, v in told["containers"].items()}
        about = application_of(pod)
        if about is None:
            return None
        return Question(
            about, str(told["uid"]), str(name), str(uid), str(node), containers, int(told["attempt"]), told["injected"]
        )
    except (KeyError, ValueError, TypeError, IndexError, AttributeError, RecursionError):
        return None


def application_of(pod: Pod) -> Key | None:
    """The application that a detector's Pod works for."""
    if pod.metadata.labels.get(COMPONENT_LABEL) != COMPONENT:
        return None
    namespace, slash, name = pod.metadata.annotations.get(ABOUT_ANNOTATION, "").partition("/")
    return Key(namespace, name) if slash else None


def has_ended(pod: Pod) -> bool:
    return pod.status.phase in ("Succeeded", "Failed")


def outcome(pod: Pod, question: Question, now: datetime) -> Outcome:
    """What became of a detector."""
    ended = next((c.state.terminated for c in pod.status.container_statuses if c.state.terminated), None)
    if ended is not None and ended.message:
        try:
            asked = {name: looked.id for name, looked in question.containers.items()}
            return Outcome(Fate.ANSWERED, report.read(ended.message, question.nonce, asked))
        except UnbelievableError as error:
            return Outcome(Fate.UNBELIEVABLE, {}, str(error))
    if pod.status.reason == "DeadlineExceeded" or (
        not has_ended(pod) and (conditions.seconds_since(pod.metadata.creation_timestamp, now) or 0) > LOST_SECONDS
    ):
        return Outcome(Fate.TIMED_OUT, {}, _why_not_started(pod))
    if ended is not None or has_ended(pod):
        said = f"exit code {ended.exit_code}, {ended.reason}" if ended else pod.status.reason
        return Outcome(Fate.FAILED, {}, f"{said or 'no reason given'} {pod.status.message[:200]}".strip())
    return Outcome(Fate.RUNNING, {})


def _why_not_started(pod: Pod) -> str:
    waiting = next((c.state.waiting for c in pod.status.container_statuses if c.state.waiting), None)
    if waiting:
        return f"it could not start: {waiting.reason} {waiting.message[:200]}".strip()
    return f"it did not answer within {DEADLINE_SECONDS} s"


def delete(pod: Pod) -> Delete:
    return Delete(PODS, Key(pod.metadata.namespace, pod.metadata.name), pod.metadata.uid)


def create(question: Question, namespace: str, image: str) -> Create:
    arguments = [f"--pod-uid={question.pod_uid}", f"--nonce={question.nonce}"]
    targets = [f"{name}={looked.id}" for name, looked in sorted(question.containers.items())]
    words = [word for argument in arguments for word in argument.split("=", 1)]
    words += [word for target in targets for word in ("--target", target)]
    about = f"{question.application.namespace}/{question.application.name}"
    metadata = {
        "name": question.name,
        "namespace": namespace,
        "labels": {
            MANAGED_LABEL: MANAGED_BY,
            "app.kubernetes.io/part-of": MANAGED_BY,
            COMPONENT_LABEL: COMPONENT,
        },
        "annotations": {ABOUT_ANNOTATION: about, QUESTION_ANNOTATION: question.wire()},
    }
    return Create(PODS, {"metadata": metadata, "spec": _spec(question.node, image, words)})


def _spec(node: str, image: str, arguments: list[str]) -> dict[str, Any]:
    return {
        "nodeName": node,
        "hostPID": True,
        "restartPolicy": "Never",
        "activeDeadlineSeconds": DEADLINE_SECONDS,
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "tolerations": [{"operator": "Exists"}],
        "containers": [
            {
                "name": COMPONENT,
                "image": image,
                "args": arguments,
                "terminationMessagePolicy": "File",
                "resources": {
                    "requests": {"cpu": "10m", "memory": "32Mi"},
                    "limits": {"cpu": "1", "memory": "128Mi"},
                },
                "securityContext": {
                    # Kubernetes gives added capabilities to root only; with these three it becomes each target's user.
                    "runAsUser": 0,
                    "runAsGroup": 0,
                    "privileged": False,
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"], "add": ["SYS_PTRACE", "SETUID", "SETGID"]},
                    "seccompProfile": {"type": "RuntimeDefault"},
                    # The default profile would hide every process that has another one.
                    "appArmorProfile": {"type": "Unconfined"},
                },
            }
        ],
    }

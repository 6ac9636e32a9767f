"""The caBundle is what the replicas publish, and is not touched when it is that already."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from odigos_cp.api.builtin import ConfigMap, WebhookConfiguration
from odigos_cp.domain import trust
from odigos_cp.domain.plan import Apply
from odigos_cp.domain.trust import Observed
from tests.builders import config_map, webhook_configuration

ONE, TWO, THREE = (trust.bundle([bytes([n]) * 300]).decode() for n in (1, 2, 3))


def published(*texts: str) -> tuple[ConfigMap, ...]:
    return tuple(config_map(f"odigos-webhook-ca-{n}", {"ca.crt": text}) for n, text in enumerate(texts))


def configured(*texts: str) -> WebhookConfiguration:
    return webhook_configuration(base64.b64encode("".join(texts).encode()).decode())


def written(configuration: WebhookConfiguration | None, *texts: str) -> Any:
    """The PEM text that the plan writes; None if it writes nothing."""
    writes = trust.plan(Observed(configuration, published(*texts))).writes
    if not writes:
        return None
    (write,) = writes
    assert isinstance(write, Apply)
    (webhook,) = write.body["webhooks"]
    assert webhook["name"] == "pods.odigos.io"
    assert list(webhook["clientConfig"]) == ["caBundle"]
    return base64.b64decode(webhook["clientConfig"]["caBundle"]).decode()


def test_all_replicas_are_trusted() -> None:
    assert written(configured(), ONE, TWO) == ONE + TWO
    assert written(configured(ONE), TWO + ONE) == ONE + TWO


def test_what_nobody_publishes_any_more_is_no_longer_trusted() -> None:
    assert written(configured(ONE, TWO), TWO) == TWO


@pytest.mark.parametrize("bundle", [(ONE, TWO), (TWO, ONE), (ONE, "a note\n", TWO)])
def test_a_bundle_that_is_right_is_left_alone_in_whatever_order(bundle: tuple[str, ...]) -> None:
    assert written(configured(*bundle), TWO, ONE) is None


@pytest.mark.parametrize(
    "text", ["", "nothing", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----", ONE + TWO + THREE]
)
def test_what_is_no_replicas_certificate_is_passed_over(text: str) -> None:
    assert written(configured(), text) is None
    assert written(configured(), text, ONE) == ONE


def test_while_nobody_publishes_the_bundle_stays() -> None:
    assert written(configured(ONE)) is None


def test_without_the_configuration_or_our_webhook_in_it_nothing_is_written() -> None:
    assert written(None, ONE) is None
    assert written(WebhookConfiguration(), ONE) is None


def test_a_bundle_that_somebody_broke_is_mended() -> None:
    assert written(webhook_configuration("%%%"), ONE) == ONE

"""A real API server, given as a kubeconfig; each test works in a namespace of its own."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest_asyncio
import yaml

from odigos_cp.api.builtin import NAMESPACES, Namespace
from odigos_cp.api.meta import Key, Kind
from odigos_cp.kube.client import Client
from odigos_cp.kube.errors import NotFound

CRDS = Path(__file__).parents[2] / "manifests" / "crds"
SECONDS = 15.0


DEFINITIONS: Kind[Namespace] = Kind(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", NAMESPACES.decode, False
)
"""Of a definition only the metadata are looked at, as of a namespace."""


@pytest_asyncio.fixture
async def client(kubeconfig: Path) -> AsyncIterator[Client]:
    async with await Client.connect(str(kubeconfig), timeout=SECONDS) as connected:
        yield connected


@pytest_asyncio.fixture
async def namespace(client: Client) -> AsyncIterator[str]:
    name = f"test-{uuid.uuid4().hex[:8]}"
    await client.apply(NAMESPACES, {"metadata": {"name": name}}, manager="test")
    yield name
    await client.delete(NAMESPACES, Key("", name))


@pytest_asyncio.fixture
async def custom_resources(client: Client) -> None:
    """Our own kinds are known and served."""
    for file in sorted(CRDS.glob("odigos.io_*.yaml")):
        definition = yaml.safe_load(await anyio.Path(file).read_text())
        await client.apply(DEFINITIONS, definition, manager="test")
        path = f"/apis/odigos.io/v1alpha1/{definition['spec']['names']['plural']}"
        with anyio.fail_after(SECONDS):
            while not await _is_served(client, path):  # noqa: ASYNC110 - it happens in another process
                await anyio.sleep(0.1)


async def _is_served(client: Client, path: str) -> bool:
    try:
        await client.get_text(path, params={"limit": "1"})
    except NotFound:
        return False
    return True

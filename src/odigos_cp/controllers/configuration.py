"""What does the one OdigosConfiguration say? Without one, everything has its default."""

from __future__ import annotations

from odigos_cp.api.configuration import CONFIGURATION_NAME, CONFIGURATIONS, ConfigurationSpec
from odigos_cp.api.meta import Key
from odigos_cp.kube.stores import Stores


def spec(stores: Stores, namespace: str) -> ConfigurationSpec:
    found = stores[CONFIGURATIONS].get(Key(namespace, CONFIGURATION_NAME))
    return found.spec if found else ConfigurationSpec()

"""Every test of the runtime fails when something in it blocks the event loop."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx


@pytest.fixture(autouse=True)
def nothing_blocks_the_loop() -> Iterator[None]:
    with blockbuster_ctx("odigos_cp") as blocking:
        for function in blocking.functions.values():
            function.can_block_in("odigos_cp/kube/access.py", "_read")  # a loop of its own, in a thread
            function.can_block_in("rich/traceback.py", "_render_stack")  # pretty tracebacks of a developer's terminal
        yield

"""A way to the API server that can be cut, so that events pile up on its other side while a client is away.

It must cost next to nothing: the kernel moves the bytes (splice), two threads a connection wait for it.
"""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from typing import Final

CHUNK: Final = 2**20


class Relay:
    """Listens on a loopback port; made open."""

    def __init__(self, upstream_port: int) -> None:
        self._upstream = ("127.0.0.1", upstream_port)
        self._lock = threading.Lock()
        self._ends: set[socket.socket] = set()
        self._listener = self._listen(0)
        self.port: int = self._listener.getsockname()[1]

    def cut(self) -> None:
        """Connections end, and new ones are refused, until `mend`."""
        self._shut(self._listener)
        self._listener.close()
        with self._lock:
            for end in self._ends:
                self._shut(end)

    def mend(self) -> None:
        self._listener = self._listen(self.port)

    def close(self) -> None:
        self.cut()

    def _listen(self, port: int) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return listener

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self._upstream)
            except OSError:
                near.close()
                continue
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._ends |= {near, far}
            threads = [threading.Thread(target=self._pump, args=way, daemon=True) for way in ((near, far), (far, near))]
            for thread in threads:
                thread.start()
            threading.Thread(target=self._forget, args=(threads, near, far), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        exit_, entry = os.pipe()
        try:
            while moved := os.splice(source.fileno(), entry, CHUNK):
                while moved:
                    moved -= os.splice(exit_, sink.fileno(), moved)
        except (OSError, ValueError):
            pass  # an end is gone
        finally:
            os.close(exit_)
            os.close(entry)
            for end in (source, sink):
                self._shut(end)

    def _forget(self, threads: list[threading.Thread], *ends: socket.socket) -> None:
        for thread in threads:
            thread.join()
        with self._lock:
            self._ends -= set(ends)
        for end in ends:
            end.close()

    @staticmethod
    def _shut(end: socket.socket) -> None:
        with suppress(OSError):  # it was already
            end.shutdown(socket.SHUT_RDWR)

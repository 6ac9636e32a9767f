"""One question to a DNS server, as a program of its own: it is run inside a node's network to prove that names work.

python dns.py SERVER NAME
"""

from __future__ import annotations

import random
import socket
import struct
import sys

PORT = 53
ANSWER_SECONDS = 1.0


def question(name: str, number: int) -> bytes:
    """A DNS query for the IPv4 address of `name`."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.strip(".").split("."))
    return struct.pack("!6H", number, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", 1, 1)


def answers(packet: bytes, number: int) -> bool:
    """Whether `packet` answers the query of that number, without an error and with an address."""
    if len(packet) < 12:
        return False
    said, flags, _, count, _, _ = struct.unpack("!6H", packet[:12])
    return said == number and bool(flags & 0x8000) and flags & 0x000F == 0 and count > 0


def asked(server: str, name: str) -> bool:
    number = random.randrange(0x10000)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(ANSWER_SECONDS)
        try:
            asking.sendto(question(name, number), (server, PORT))
            return answers(asking.recv(4096), number)
        except OSError:
            return False


if __name__ == "__main__":
    print("yes" if asked(*sys.argv[1:]) else "no")

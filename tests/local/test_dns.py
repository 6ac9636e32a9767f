"""The question that proves that names work in a cluster."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from threading import Thread

import pytest

from cluster import dns

HEADER = struct.Struct("!6H")
ANSWER = 0x8180


def test_a_question_asks_for_one_address_of_the_name() -> None:
    packet = dns.question("web.shop.svc.cluster.local.", 7)
    assert HEADER.unpack(packet[:12]) == (7, 0x0100, 1, 0, 0, 0)
    assert packet[12:] == b"\x03web\x04shop\x03svc\x07cluster\x05local\x00\x00\x01\x00\x01"


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"short",
        HEADER.pack(8, ANSWER, 1, 1, 0, 0),
        HEADER.pack(7, 0x0100, 1, 1, 0, 0),
        HEADER.pack(7, ANSWER | 3, 1, 1, 0, 0),
        HEADER.pack(7, ANSWER, 1, 0, 0, 0),
    ],
    ids=["empty", "short", "another number", "a question", "no such name", "no address"],
)
def test_whatever_is_no_answer_is_none(packet: bytes) -> None:
    assert not dns.answers(packet, 7)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Answers one question with what it was asked, as if it knew the name."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as answering:
        answering.bind(("127.0.0.1", 0))
        answering.settimeout(5)
        monkeypatch.setattr(dns, "PORT", answering.getsockname()[1])

        def answer() -> None:
            packet, asker = answering.recvfrom(4096)
            number = HEADER.unpack(packet[:12])[0]
            answering.sendto(HEADER.pack(number, ANSWER, 1, 1, 0, 0) + packet[12:], asker)

        thread = Thread(target=answer)
        thread.start()
        yield "127.0.0.1"
        thread.join()


def test_a_server_that_answers_is_heard(server: str) -> None:
    assert dns.asked(server, "web.shop")


def test_where_nobody_listens_there_is_no_answer() -> None:
    assert not dns.asked("127.0.0.1", "web.shop")

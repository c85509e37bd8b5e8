"""A stand-in for a hub's /events/stream: it keeps events, serves those after a place, and breaks off as it is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from otel_setup.catalogue import EventType
from otel_setup.events.record import SystemEvent

EPOCH = "abc123"


@dataclass
class Request:
    """What a client asked for."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]


Plan = Callable[["Stub", Request, asyncio.StreamWriter], Any]
"""Answers one connection to the stream; a coroutine function."""


@dataclass
class Stub:
    """The stand-in.

    Parameters:
        plans: what becomes of the connections to the stream, one after another; the last plan stays.
    """

    plans: list[Plan]
    events: list[dict[str, Any]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    url: str = ""

    def add(self, count: int, **more: Any) -> None:
        """Happenings; each is told by its number."""
        for _ in range(count):
            number = len(self.events) + 1
            event = SystemEvent(
                event_type=EventType("arena.tick"), data={"number": number}, event_id=f"i-e-{number}", **more
            )
            self.events.append({**event.to_dict(), "sequence": number})

    @property
    def streams(self) -> list[Request]:
        """The requests for the stream."""
        return [request for request in self.requests if request.path == "/events/stream"]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.split("\r\n")
            method, target, _ = first.split(" ")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            parts = urlsplit(target)
            request = Request(method, parts.path, parse_qs(parts.query), headers)
            self.requests.append(request)
            if request.path == "/events":
                count = int(request.query["since"][0].removeprefix("-"))
                page = {"cursor": f"{EPOCH}-{len(self.events)}", "events": self.events[-count:][:1] if count else []}
                await answer(writer, 200, json.dumps(page), "application/json")
            else:
                plan = self.plans.pop(0) if len(self.plans) > 1 else self.plans[0]
                await plan(self, request, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def after(self, request: Request) -> list[dict[str, Any]]:
        """The events a request wants, by the header or else by ``since``."""
        place = request.headers.get("last-event-id") or request.query.get("since", ["oldest"])[0]
        return self.events if place == "oldest" else self.events[int(place.rpartition("-")[2]) :]


async def answer(
    writer: asyncio.StreamWriter, status: int, body: str = "", kind: str = "text/html", *more: str
) -> None:
    """A whole answer."""
    head = [f"HTTP/1.1 {status} X", f"content-type: {kind}", f"content-length: {len(body)}", "connection: close", *more]
    writer.write("\r\n".join([*head, "", body]).encode())
    await writer.drain()


async def begin(writer: asyncio.StreamWriter, retry: int = 1) -> None:
    """The head of a stream, and its first frame."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\r\n")
    writer.write(f"retry: {retry}\n\n".encode())
    await writer.drain()


def frame(event: dict[str, Any]) -> bytes:
    """An event's frame."""
    data = json.dumps(event, ensure_ascii=False)
    return f"id: {EPOCH}-{event['sequence']}\nevent: {event['event_type']}\ndata: {data}\n\n".encode()


def serving(first: int, cut: int = 0) -> Plan:
    """So many events of those that are wanted, then the end of the connection; ``cut`` bytes into the next frame."""

    async def plan(stub: Stub, request: Request, writer: asyncio.StreamWriter) -> None:
        await begin(writer)
        wanted = stub.after(request)
        writer.write(b"".join(map(frame, wanted[:first])))
        if cut and len(wanted) > first:
            writer.write(frame(wanted[first])[:cut])
        await writer.drain()

    return plan


def ending(reason: str = "finished") -> Plan:
    """All that is wanted, and the word that there is no more."""

    async def plan(stub: Stub, request: Request, writer: asyncio.StreamWriter) -> None:
        await begin(writer)
        writer.write(b"".join(map(frame, stub.after(request))))
        writer.write(f'event: end\ndata: {{"reason": "{reason}"}}\n\n'.encode())
        await writer.drain()

    return plan


def staying() -> Plan:
    """All that is wanted, and then silence."""

    async def plan(stub: Stub, request: Request, writer: asyncio.StreamWriter) -> None:
        await begin(writer)
        writer.write(b"".join(map(frame, stub.after(request))))
        await writer.drain()
        await asyncio.sleep(60)

    return plan


def refusing(status: int, body: str = "", kind: str = "application/json", *more: str) -> Plan:
    """A refusal."""

    async def plan(stub: Stub, request: Request, writer: asyncio.StreamWriter) -> None:
        await answer(writer, status, body, kind, *more)

    return plan


@asynccontextmanager
async def stub_of(*plans: Plan) -> AsyncIterator[Stub]:
    """A stand-in that listens."""
    stub = Stub(list(plans))
    server = await asyncio.start_server(stub.serve, "127.0.0.1", 0)
    stub.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield stub
    finally:
        server.close()

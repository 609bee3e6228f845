"""Serve the sandbox over HTTP, in a thread of its own."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import cycle
from types import TracebackType
from typing import Any

from aiohttp import web

from litellm_maas.catalogue import Catalogue, Model, catalogue
from litellm_maas.sandbox import billing, chat, messages, responses, tokens, validation
from litellm_maas.sandbox.accounts import Account, Limit
from litellm_maas.sandbox.chat import Completion, Event
from litellm_maas.sandbox.faults import NO_FAULT, Fault, Faults
from litellm_maas.sandbox.scripted import Answer, Cache, answer
from litellm_maas.sandbox.validation import HTTPError

DEFAULT_KEY = "vn-sandbox-key"
_EMBEDDING_DIMENSIONS = 64
_REMEMBERED_REQUESTS = 100_000
_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it reached the sandbox.

    Attributes:
        path: Such as ``/v1/chat/completions``.
        headers: With lower-case names, the key included.
        body: The parsed JSON, or None.
        at: When it came, by the account's clock.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any
    at: float


@dataclass(frozen=True, slots=True)
class _Protocol:
    """A wire format for answers of chat models."""

    chat_request: Callable[[Mapping[str, Any]], dict[str, Any]]
    reply: Callable[[Completion], dict[str, Any]]
    events: Callable[[Completion], Iterator[Event]]
    named_events: bool = False


def _legacy_request(request: Mapping[str, Any]) -> dict[str, Any]:
    prompt = request.get("prompt") or ""
    text = "".join(prompt) if isinstance(prompt, list) else str(prompt)
    return {**request, "messages": [{"role": "user", "content": text}]}


_PROTOCOLS = {
    "/chat/completions": _Protocol(dict, chat.reply, chat.events),
    "/completions": _Protocol(_legacy_request, chat.text_reply, chat.text_events),
    "/messages": _Protocol(messages.chat_request, messages.reply, messages.events, named_events=True),
    "/responses": _Protocol(responses.chat_request, responses.reply, responses.events, named_events=True),
}


class Sandbox:
    """An offline MaaS on a loopback port.

    Of its streams every other one has each event in a piece of its own, and the others have several in one, as a
    network brings them.

    Args:
        port: The port; 0 picks a free one.
        rpm: The account's limit of requests a minute; none by default, so that tests do not wait. The gateway's
            default is 10.
        key: An active key of the account.
        models: The ids that are listed and served; all of the catalogue by default.

    Attributes:
        account: Keys, enabled models, credits and limits; may be changed at any time.
        faults: What goes wrong next.
        bill: What the account was charged.
        requests: Every request that came, the newest last.
        key: The active key.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        rpm: int | None = None,
        key: str = DEFAULT_KEY,
        models: tuple[str, ...] | None = None,
    ) -> None:
        self.key = key
        self.account = Account(keys={key: "active"})
        if rpm:
            self.account.per_minute = Limit(rpm, 60.0)
        self.faults = Faults()
        self.bill = billing.Bill()
        self.requests: deque[Request] = deque(maxlen=_REMEMBERED_REQUESTS)
        self._models = models or catalogue().ids()
        self._catalogue: Catalogue = catalogue()
        self._script: deque[Answer] = deque()
        self._cache = Cache()
        self._at_once = cycle((1, 3, 1, 1000))
        self._port = port
        self._thread = _ServerThread(self._application)

    @property
    def url(self) -> str:
        """Return the base URL, with its version."""
        return f"http://127.0.0.1:{self._port}/v1"

    def environment(self) -> dict[str, str]:
        """Return the environment variables that lead a program here."""
        return {"MAAS_API_KEY": self.key, "MAAS_API_BASE": self.url}

    def script(self, *answers: Answer) -> None:
        """Give these answers to the next chat requests, one each; after that they are made up again."""
        self._script.extend(answers)

    def start(self) -> Sandbox:
        """Start serving; returns when requests are accepted."""
        self._port = self._thread.start(self._port)
        return self

    def stop(self) -> None:
        """Stop serving."""
        self._thread.stop()

    def __enter__(self) -> Sandbox:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=64 * 1024 * 1024)
        application.router.add_route("*", "/{path:.*}", self._handle)
        return application

    async def _handle(self, http: web.Request) -> web.StreamResponse:
        text = await http.text()
        try:
            body = json.loads(text) if text else None
        except ValueError:
            body = None
        headers = {name.lower(): value for name, value in http.headers.items()}
        self.requests.append(Request(http.method, http.path, headers, body, self.account.clock()))
        operation = http.path.removeprefix("/v1")
        model = body.get("model") if isinstance(body, dict) else None
        fault = self.faults.take(model, operation)
        if fault.delay:
            await asyncio.sleep(fault.delay)
        try:
            if (faulty := await _reply_of(fault, http)) is not None:
                return faulty
            return await self._serve(http, operation, body, headers, fault)
        except HTTPError as refused:
            return _respond(refused.status, refused.body, refused.headers)

    async def _serve(
        self, http: web.Request, operation: str, body: Any, headers: Mapping[str, str], fault: Fault
    ) -> web.StreamResponse:
        if not http.path.startswith("/v1/") or operation.startswith("/v1"):
            raise HTTPError(404, {"message": "no Route matched with those values"})
        key = validation.check_key(self.account, headers.get("authorization") or headers.get("x-api-key", ""))
        self.account.collect()
        if (http.method, operation) == ("GET", "/models"):
            return web.json_response({"object": "list", "data": [self._listed(model) for model in self._models]})
        if operation not in (*_PROTOCOLS, "/embeddings", "/images/generations"):
            raise HTTPError(404, {"message": "no Route matched with those values"})
        if not isinstance(body, dict) or not isinstance(body.get("model"), str):
            raise HTTPError(400, validation.openai_error("model is required", "invalid_request_error"))
        validation.check_limits(self.account, body["model"])
        validation.check_model(self.account, body["model"], self._models)
        model = self._catalogue.model(body["model"])
        if operation == "/embeddings":
            return self._embeddings(key, body, model)
        if operation == "/images/generations":
            return self._images(key, body, model)
        return await self._chat(http, key, body, model, _PROTOCOLS[operation], fault)

    def _listed(self, model: str) -> dict[str, Any]:
        mode = self._catalogue.model(model).mode
        return {
            "id": model,
            "object": "model",
            "created": 1754179200,
            "owned_by": model.split("/", 1)[0],
            "status": "ENABLED" if model not in self.account.disabled_models else "DISABLED",
            "model_type": mode,
        }

    async def _chat(
        self, http: web.Request, key: str, body: Mapping[str, Any], model: Model, protocol: _Protocol, fault: Fault
    ) -> web.StreamResponse:
        request = protocol.chat_request(body)
        validation.check_chat(request, model)
        found = answer(request, model, self._script.popleft() if self._script else None, self._cache)
        now = dt.datetime.fromtimestamp(self.account.clock(), dt.timezone.utc)
        served = Completion(f"chatcmpl-{uuid.uuid4().hex}", int(now.timestamp()), model.id, found, body)
        if not body.get("stream"):
            self._charge(key, served, now, found.output_tokens)
            return web.json_response(protocol.reply(served))
        charged = False

        def charge(output_tokens: int, *, complete: bool) -> None:
            nonlocal charged
            if not charged:
                charged = True
                self._charge(key, served, now, output_tokens, complete=complete)

        stream = _Stream(http, protocol, fault, next(self._at_once))
        try:
            # Charged before the last byte leaves, so that whoever has it finds the charge on the bill.
            return await stream.send(served, lambda: charge(found.output_tokens, complete=True))
        finally:
            charge(tokens.count("".join(stream.written)), complete=False)

    def _charge(
        self,
        key: str,
        served: Completion,
        at: dt.datetime,
        output_tokens: int,
        *,
        complete: bool = True,
        images: int = 0,
    ) -> None:
        found = served.answer
        input_tokens, cached = found.input_tokens or 0, found.cached_tokens or 0
        micro_credits = billing.cost(served.model, at, input_tokens, cached, output_tokens)
        self.account.spend(micro_credits)
        self.bill.add(
            billing.Charge(
                response_id=served.response_id,
                at=at,
                key=key,
                model=served.model,
                input_tokens=input_tokens,
                cached_tokens=cached,
                output_tokens=output_tokens,
                images=images,
                micro_credits=micro_credits,
                complete=complete,
            )
        )

    def _embeddings(self, key: str, body: Mapping[str, Any], model: Model) -> web.Response:
        if model.mode != "embedding":
            raise HTTPError(404, validation.openai_error(f"{model.id} does not serve embeddings", "not_found_error"))
        given = body.get("input")
        texts = [str(text) for text in given] if isinstance(given, list) else [str(given or "")]
        read = sum(map(tokens.count, texts))
        now = dt.datetime.fromtimestamp(self.account.clock(), dt.timezone.utc)
        dimensions = body.get("dimensions") or _EMBEDDING_DIMENSIONS
        served = Completion(f"embd-{uuid.uuid4().hex}", 0, model.id, Answer((), read, 0), body)
        self._charge(key, served, now, 0)
        data = [
            {"object": "embedding", "index": index, "embedding": tokens.embedding(text, dimensions)}
            for index, text in enumerate(texts)
        ]
        usage = {"prompt_tokens": read, "total_tokens": read}
        return web.json_response({"object": "list", "model": model.id, "data": data, "usage": usage})

    def _images(self, key: str, body: Mapping[str, Any], model: Model) -> web.Response:
        number = body.get("n") or 1
        now = dt.datetime.fromtimestamp(self.account.clock(), dt.timezone.utc)
        served = Completion(f"img-{uuid.uuid4().hex}", int(now.timestamp()), model.id, Answer((), 0, 0), body)
        self._charge(key, served, now, 0, images=number)
        return web.json_response({"created": served.created, "data": [{"b64_json": _PIXEL}] * number})


class _Stream:
    """One streamed reply, with whatever a fault does to it."""

    def __init__(self, http: web.Request, protocol: _Protocol, fault: Fault, at_once: int) -> None:
        self._http = http
        self._protocol = protocol
        self._fault = fault
        self._at_once = at_once
        self._sent = 0
        self._pending: list[tuple[bytes, str]] = []
        self.written: list[str] = []

    async def send(self, served: Completion, when_complete: Callable[[], None]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream", "cache-control": "no-cache"})
        await response.prepare(self._http)
        events = list(self._protocol.events(served))
        for event in events:
            if await self._spoil(response):
                return response
            if self._fault.chunk_delay:
                await asyncio.sleep(self._fault.chunk_delay)
            if event is events[-1]:
                when_complete()
            self._pending.append((self._encoded(event), chat.text_of(event)))
            self._sent += 1
            if len(self._pending) >= self._at_once or self._fault.chunk_delay:
                await self._write(response)
        if await self._spoil(response):
            return response
        if not self._protocol.named_events and not self._fault.without_done:
            self._pending.append((b"data: [DONE]\n\n", ""))
        await self._write(response)
        await response.write_eof()
        return response

    async def _write(self, response: web.StreamResponse) -> None:
        """Write what is pending in one piece, as a gateway does whose upstream was faster than the network."""
        pieces, self._pending = self._pending, []
        if pieces:
            await response.write(b"".join(data for data, _ in pieces))
            self.written += [text for _, text in pieces]

    async def _spoil(self, response: web.StreamResponse) -> bool:
        """Do what the fault asks for at this point, and return whether the stream is over."""
        fault = self._fault
        if self._sent in (fault.cut_after, fault.hang_after):
            await self._write(response)
        if self._sent == fault.cut_after and self._http.transport is not None:
            self._http.transport.abort()
            return True
        if self._sent == fault.hang_after:
            await asyncio.sleep(3600)
        if self._sent == fault.error_after:
            self._pending.append((f"data: {json.dumps({'error': fault.error})}\n\n".encode(), ""))
        if self._sent == fault.garbage_after:
            self._pending.append((b"data: {this is no JSON\n\n", ""))
        if self._sent in (fault.error_after, fault.stop_after):
            await self._write(response)
            return True
        return False

    def _encoded(self, event: Event) -> bytes:
        name = f"event: {event['type']}\n" if self._protocol.named_events else ""
        return f"{name}data: {json.dumps(event, ensure_ascii=False)}\n\n".encode()


async def _reply_of(fault: Fault, http: web.Request) -> web.StreamResponse | None:
    """Return the reply that a fault puts in the place of the gateway's, if it does."""
    if fault is NO_FAULT:
        return None
    if fault.hang:
        await asyncio.sleep(3600)
    if fault.disconnect and http.transport is not None:
        http.transport.abort()
        return web.Response()
    if fault.redirect is not None:
        return web.Response(status=fault.status or 307, headers={"location": fault.redirect})
    if fault.status is not None:
        return _respond(fault.status, fault.body, fault.headers)
    return None


def _respond(status: int, body: Any, headers: Mapping[str, str]) -> web.Response:
    if isinstance(body, (Mapping, list)):
        return web.json_response(body, status=status, headers=headers)
    is_page = isinstance(body, str) and body.lstrip().startswith("<")
    response = web.Response(status=status, body=body if isinstance(body, bytes) else str(body).encode())
    response.content_type = "text/html" if is_page else "text/plain"
    response.headers.update(headers)
    return response


@dataclass
class _ServerThread:
    """Run an application on an event loop of its own, until told to stop."""

    make_application: Callable[[], web.Application]
    _loop: asyncio.AbstractEventLoop | None = field(default=None, init=False)
    _stopped: asyncio.Event | None = field(default=None, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)
    _port: int = field(default=0, init=False)
    _error: BaseException | None = field(default=None, init=False)

    def start(self, port: int) -> int:
        """Start on a port; returns the port that was taken."""
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(port, ready), name="maas-sandbox", daemon=True)
        self._thread.start()
        ready.wait()
        if self._error is not None:
            raise self._error
        return self._port

    def stop(self) -> None:
        """Stop, and wait until the port is free again."""
        if self._loop is not None and self._stopped is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._stopped.set)
            self._thread.join()

    def _run(self, port: int, ready: threading.Event) -> None:
        try:
            asyncio.run(self._serve(port, ready))
        except BaseException as error:
            if ready.is_set():
                raise
            # Whoever waits for the start would wait forever.
            self._error = error
            ready.set()

    async def _serve(self, port: int, ready: threading.Event) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        runner = web.AppRunner(
            self.make_application(), shutdown_timeout=0.1, access_log=None, handler_cancellation=True
        )
        try:
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", port)
            await site.start()
            self._port = runner.addresses[0][1]
            ready.set()
            await self._stopped.wait()
        finally:
            await runner.cleanup()

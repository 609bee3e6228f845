"""Handle every `maas/…` call of LiteLLM."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from types import TracebackType
from typing import Any, Generic, TypeVar

import httpx
import litellm
from litellm import CustomLLM, EmbeddingResponse, ImageResponse, ModelResponse
from litellm.types.utils import ModelResponseStream
from pydantic import SecretStr

from litellm_maas import _litellm_compat
from litellm_maas.catalogue import catalogue
from litellm_maas.errors import GatewayError, MaasError, UnsupportedParameterError
from litellm_maas.gateway import client
from litellm_maas.gateway.endpoint import resolve_endpoint, resolve_key
from litellm_maas.gateway.request import GatewayRequest, Timeouts
from litellm_maas.ledger.event import Operation
from litellm_maas.pricing import usage
from litellm_maas.pricing.usage import Usage
from litellm_maas.provider import model_map, responses
from litellm_maas.provider.attempt_history import ATTEMPTS_PARAM, RoutedAttempt, dedicated_fallbacks, is_routed
from litellm_maas.provider.exceptions import PROVIDER, map_exception, wrap_mid_stream
from litellm_maas.provider.pipeline import AsyncCallPipeline, PreparedCall, call_pipeline
from litellm_maas.provider.request_params import (
    DROPPED_BY_LITELLM_EMBEDDINGS,
    DROPPED_BY_LITELLM_IMAGES,
    build_body,
    build_chat_body,
    caller_headers,
)
from litellm_maas.provider.spend_recording import RecordedCall
from litellm_maas.provider.streaming import Chunk, StreamDecoder
from litellm_maas.runtime import runtime
from litellm_maas.tracking.event_builder import COST_PARAM

_RETRYABLE = frozenset({"timeout", "connection", "retryable", "rate_limit", "server", "bad_gateway", "unavailable"})
_LONGEST_WAIT = 60.0
_HEADERS_RECEIVED: Chunk = {}

_Call = dict[str, Any]
_Response = TypeVar("_Response", ModelResponse, EmbeddingResponse, ImageResponse)


class MaasLLM(CustomLLM):
    """Carry chat, embedding and image calls between LiteLLM and the gateway.

    LiteLLM calls these methods by keyword. Whatever goes wrong is raised as one of LiteLLM's exceptions, whose message
    ends with a line that says what to do.
    """

    def completion(self, *args: Any, **call: Any) -> ModelResponse:
        """Complete a chat."""
        return _run(_CHAT, call)

    async def acompletion(self, *args: Any, **call: Any) -> ModelResponse:
        """Complete a chat, asynchronously."""
        return await _arun(_CHAT, call)

    def embedding(self, *args: Any, **call: Any) -> EmbeddingResponse:
        """Embeddings of one or several texts."""
        return _run(_EMBEDDING, call)

    async def aembedding(self, *args: Any, **call: Any) -> EmbeddingResponse:
        """Embeddings, asynchronously."""
        return await _arun(_EMBEDDING, call)

    def image_generation(self, *args: Any, **call: Any) -> ImageResponse:
        """Images from a prompt."""
        return _run(_IMAGES, call)

    async def aimage_generation(self, *args: Any, **call: Any) -> ImageResponse:
        """Images from a prompt, asynchronously."""
        return await _arun(_IMAGES, call)

    def streaming(self, *args: Any, **call: Any) -> Iterator[Any]:
        """Stream a chat completion."""
        stream = self._stream(call)
        # Sends the request now, so that LiteLLM's retries and fallbacks see a refused one. It also starts the
        # generator, so that a stream that nobody reads is closed when it is dropped.
        next(stream)
        return stream

    def _stream(self, call: _Call) -> Generator[Chunk, None, None]:
        with _litellm_errors(call) as stage, call_pipeline(_streamed_chat, call, "chat") as prepared:
            decoder = StreamDecoder(prepared.request)
            prepared.recording.attach_decoder(decoder)
            with client.open_stream(prepared.request, runtime.clients, call.get("client")) as reply:
                yield _HEADERS_RECEIVED
                stage.is_stream = True
                for chunk in chain(_chunks(reply, decoder, prepared.request), decoder.finish()):
                    yield stage.seen(chunk, prepared.attempt)
            last = stage.seen(_final_chunks(decoder, prepared.recording), prepared.attempt)
        yield last

    async def astreaming(  # type: ignore[override]  # LiteLLM annotates it as a coroutine and iterates what it returns
        self, *args: Any, **call: Any
    ) -> AsyncIterator[Any]:
        """Stream a chat completion, asynchronously.

        LiteLLM starts it at the first chunk, when its own retries and `fallbacks=` are over; so `num_retries` is
        honoured here, as long as nothing was yielded.
        """
        # The one asynchronous generator: when a loop ends, it closes all of its generators at once, those that wait for
        # one another included. What it is made of are iterators and contexts that are classes.
        with _litellm_errors(call) as stage:
            stage.is_stream = True
            async for attempt in _StreamAttempts(call, stage):
                async with attempt as chunks:
                    async for chunk in chunks:
                        yield chunk


def _chunks(reply: httpx.Response, decoder: StreamDecoder, request: GatewayRequest) -> Iterator[Chunk]:
    """Yield the chunks of a stream, until the gateway ends it, or stops after the answer was complete."""
    pieces = reply.iter_bytes()
    while not decoder.is_over:
        try:
            with client.map_httpx_errors(request):
                piece = next(pieces, None)
        except GatewayError:
            if decoder.is_complete:
                return
            raise
        if piece is None:
            return
        yield from decoder.feed(piece)
    client.drain(reply, pieces)


class _StreamAttempts:
    """The attempts of an asynchronous stream: further ones while its failures may pass and nothing was handed out."""

    def __init__(self, call: _Call, stage: _StreamState) -> None:
        self._call = call
        self._stage = stage
        retries = int(call["optional_params"].get("max_retries") or 0)
        self._backoffs = iter([0.5 * 2**retry for retry in range(retries)])
        self._latest: _StreamAttempt | None = None

    def __aiter__(self) -> _StreamAttempts:
        return self

    async def __anext__(self) -> _StreamAttempt:
        if self._latest is not None:
            if self._latest.wait is None:
                raise StopAsyncIteration
            await asyncio.sleep(self._latest.wait)
        self._latest = _StreamAttempt(self._call, self._stage, next(self._backoffs, None))
        return self._latest


class _StreamAttempt:
    """One attempt of an asynchronous stream, through the pipeline: its chunks, for `async with` and `async for`.

    Leaving it after a failure that another attempt may get around suppresses that failure.

    Args:
        call: LiteLLM's call.
        stage: How far the call has come.
        backoff: Seconds to wait for another attempt, where the gateway says nothing; None where this is the last.

    Attributes:
        wait: Seconds after which another attempt is to be made; None where none is.
    """

    def __init__(self, call: _Call, stage: _StreamState, backoff: float | None) -> None:
        self._call = call
        self._stage = stage
        self._backoff = backoff
        self._pipeline = AsyncExitStack()
        self._http = AsyncExitStack()
        self._prepared: PreparedCall | None = None
        self._rest: Iterator[Chunk] | None = None
        self._is_over = False
        self.wait: float | None = None

    async def __aenter__(self) -> _StreamAttempt:
        return self  # what opening it raises is to come to `__aexit__`, so the first chunk opens it

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        await self._pipeline.__aexit__(kind, error, traceback)
        if isinstance(error, GatewayError) and self._backoff is not None and not self._stage.has_begun:
            self.wait = _wait_before_retry(error, self._backoff)
        return self.wait is not None

    def __aiter__(self) -> _StreamAttempt:
        return self

    async def __anext__(self) -> Chunk:
        if self._is_over:
            raise StopAsyncIteration
        prepared = self._prepared or await self._open()
        chunk = await self._next()
        if chunk is not None:
            return self._stage.seen(chunk, prepared.attempt)
        last = self._stage.seen(_final_chunks(self._decoder, prepared.recording), prepared.attempt)
        self._is_over = True
        await self._pipeline.aclose()  # which records it
        return last

    async def _open(self) -> PreparedCall:
        pipeline = AsyncCallPipeline(_streamed_chat, self._call, "chat")
        self._prepared = prepared = await self._pipeline.enter_async_context(pipeline)
        self._decoder = StreamDecoder(prepared.request)
        prepared.recording.attach_decoder(self._decoder)
        await self._pipeline.enter_async_context(self._http)
        stream = client.AsyncResponseStream(prepared.request, runtime.clients, self._call.get("client"))
        reply = await self._http.enter_async_context(stream)
        self._chunks = _AsyncChunks(reply, self._decoder, prepared.request)
        return prepared

    async def _next(self) -> Chunk | None:
        """Return the next chunk of what the gateway sends; None where there is no more."""
        if self._rest is None:
            async for chunk in self._chunks:
                return chunk
            await self._http.aclose()
            self._rest = self._decoder.finish()
        return next(self._rest, None)


class _AsyncChunks:
    """Do what `_chunks` does, asynchronously. Not a generator, for the same reason as `client.AsyncResponseStream`."""

    def __init__(self, reply: httpx.Response, decoder: StreamDecoder, request: GatewayRequest) -> None:
        self._pieces = reply.aiter_bytes()
        self._decoder = decoder
        self._request = request
        self._decoded: Iterator[Chunk] = iter(())

    def __aiter__(self) -> _AsyncChunks:
        return self

    async def __anext__(self) -> Chunk:
        while (chunk := next(self._decoded, None)) is None:
            if self._decoder.is_over:
                await client.adrain(self._pieces)
                raise StopAsyncIteration
            self._decoded = self._decoder.feed(await self._piece())
        return chunk

    async def _piece(self) -> bytes:
        try:
            with client.map_httpx_errors(self._request):
                return await self._pieces.__anext__()
        except GatewayError:
            if self._decoder.is_complete:
                raise StopAsyncIteration from None
            raise


@dataclass(slots=True)
class _StreamState:
    """How far a call has come.

    Attributes:
        is_stream: Whether LiteLLM has handed out the stream, so that only its chunks can tell of an error.
        has_begun: Whether a chunk has been handed out.
    """

    is_stream: bool = False
    has_begun: bool = False

    def seen(self, chunk: Chunk, attempt: RoutedAttempt) -> Chunk:
        """Note a chunk; the first one tells that the model answers, and after which attempts."""
        if not self.has_begun:
            self.has_begun = True
            attempt.mark_succeeded()
            if isinstance(chunk, ModelResponseStream):
                chunk._hidden_params = {**chunk._hidden_params, ATTEMPTS_PARAM: attempt.history}
        return chunk


def _final_chunks(decoder: StreamDecoder, recording: RecordedCall) -> Chunk:
    """Return the last chunk of a stream, with its cost where its usage stands; it is recorded first."""
    last = decoder.last()
    cost = recording.stream_succeeded(decoder)
    if last["usage"] is not None:
        # LiteLLM copies the details of a usage, and nothing else of it, to where a caller finds them.
        last["usage"].setdefault("prompt_tokens_details", {})[COST_PARAM] = cost.as_dict()
    return last


@dataclass(frozen=True, slots=True)
class _PlainCall(Generic[_Response]):
    """An operation with a plain reply: what it sends, what becomes of the reply, and what it used."""

    operation: Operation
    request: Callable[[_Call], GatewayRequest]
    response: Callable[[GatewayRequest, dict[str, Any], _Call], _Response]
    usage: Callable[[GatewayRequest, dict[str, Any]], Usage]


def _run(plain: _PlainCall[_Response], call: _Call) -> _Response:
    with _litellm_errors(call), call_pipeline(plain.request, call, plain.operation) as prepared:
        with _timed(call):
            reply = client.send(prepared.request, runtime.clients, call.get("client"))
        return _response(plain, prepared, reply, call)


async def _arun(plain: _PlainCall[_Response], call: _Call) -> _Response:
    with _litellm_errors(call):
        async with AsyncCallPipeline(plain.request, call, plain.operation) as prepared:
            with _timed(call):
                reply = await client.asend(prepared.request, runtime.clients, call.get("client"))
            return _response(plain, prepared, reply, call)


def _response(plain: _PlainCall[_Response], prepared: PreparedCall, reply: client.Response, call: _Call) -> _Response:
    payload = _parse(prepared.request, reply, call)
    cost = prepared.recording.succeeded(payload.get("id"), plain.usage(prepared.request, payload))
    response = plain.response(prepared.request, payload, call)
    prepared.attempt.mark_succeeded()
    response._hidden_params[COST_PARAM] = cost.as_dict()
    response._hidden_params[ATTEMPTS_PARAM] = prepared.attempt.history
    return response


def _token_usage(request: GatewayRequest, payload: dict[str, Any]) -> Usage:
    return usage.of_reply(
        usage.usage_in(payload),
        lambda: usage.prompt_characters(request.body or {}),
        lambda: usage.characters(payload.get("choices")),
    )


def _embedding_usage(request: GatewayRequest, payload: dict[str, Any]) -> Usage:
    return _token_usage(request, {"usage": usage.of_embeddings(payload.get("usage"))})


def _images(request: GatewayRequest, payload: dict[str, Any]) -> Usage:
    return usage.images(payload.get("data"), payload, request.body or {})


_CHAT = _PlainCall(
    "chat",
    lambda call: _chat_request(call, stream=False),
    lambda request, payload, call: responses.chat(request, payload, call["model_response"]._hidden_params),
    _token_usage,
)
_EMBEDDING = _PlainCall(
    "embedding",
    lambda call: _plain_request(call, "/embeddings", {"input": call["input"]}, DROPPED_BY_LITELLM_EMBEDDINGS),
    lambda request, payload, call: responses.embedding(request, payload, call["model_response"]),
    _embedding_usage,
)
_IMAGES = _PlainCall(
    "image",
    lambda call: _plain_request(call, "/images/generations", {"prompt": call["prompt"]}, DROPPED_BY_LITELLM_IMAGES),
    lambda request, payload, call: responses.images(request, payload, call["model_response"]),
    _images,
)


def _streamed_chat(call: _Call) -> GatewayRequest:
    return _chat_request(call, stream=True)


def _chat_request(call: _Call, *, stream: bool) -> GatewayRequest:
    litellm_params = call.get("litellm_params") or {}
    body = build_chat_body(
        catalogue().model(call["model"]),
        call["messages"],
        call["optional_params"],
        getattr(call["logging_obj"], "optional_params", None) or {},
        stream=stream,
        drop_unsupported=litellm.drop_params is True or litellm_params.get("drop_params") is True,
    )
    return _request(call, "/chat/completions", body, call.get("headers"), call["messages"])


def _plain_request(call: _Call, operation: str, content: dict[str, Any], withheld: Sequence[str]) -> GatewayRequest:
    body = build_body(
        call["model"], content, call["optional_params"], _litellm_compat.original_kwargs(call["logging_obj"]), withheld
    )
    (subject,) = content.values()
    return _request(call, operation, body, call["optional_params"].get("extra_headers"), subject)


def _request(call: _Call, operation: str, body: dict[str, Any], headers: Any, subject: Any) -> GatewayRequest:
    model_map.ensure_declared()
    endpoint = resolve_endpoint(call.get("api_base"))
    request = GatewayRequest(
        endpoint=endpoint,
        key=_require_api_key(resolve_key(call.get("api_key")), call["model"]),
        path=operation,
        model=call["model"],
        body=body,
        timeouts=Timeouts.from_litellm(
            call.get("timeout"),
            set_by_caller=_litellm_compat.original_kwargs(call["logging_obj"]).get("timeout") is not None,
        ),
        headers=caller_headers(headers),
    )
    # What LiteLLM's input callbacks and debug log are told. The key is not for them.
    call["logging_obj"].pre_call(
        input=subject, api_key="", additional_args={"complete_input_dict": body, "api_base": request.url, "headers": {}}
    )
    return request


def _require_api_key(key: SecretStr | None, model: str) -> SecretStr:
    if key is None:
        raise litellm.AuthenticationError(
            message="MaaS: no API key for this call.\n"
            "Set the MAAS_API_KEY environment variable or pass api_key=; keys are made in the MaaS console.",
            llm_provider=PROVIDER,
            model=model,
        )
    return key


def _parse(request: GatewayRequest, reply: client.Response, call: _Call) -> dict[str, Any]:
    call["logging_obj"].post_call(original_response=reply.body.decode("utf-8", "replace"), input=None, api_key="")
    kept = {name: value for name, value in reply.headers.items() if name != "set-cookie"}
    call["logging_obj"].model_call_details["response_headers"] = kept
    return responses.parse(request, reply.body)


def _wait_before_retry(error: GatewayError, backoff: float) -> float | None:
    """Return the seconds to wait before another try, or None where another try is pointless or too far off."""
    failure = error.failure
    if failure.kind not in _RETRYABLE:
        return None
    wait = failure.retry_after if failure.retry_after is not None else backoff
    return wait if wait <= _LONGEST_WAIT else None


@contextmanager
def _timed(call: _Call) -> Iterator[None]:
    # LiteLLM subtracts this to show its own overhead.
    started = time.perf_counter()
    yield
    call["logging_obj"].model_call_details["llm_api_duration_ms"] = (time.perf_counter() - started) * 1000


@contextmanager
def _litellm_errors(call: _Call) -> Iterator[_StreamState]:
    """Map what went wrong inside to LiteLLM's exceptions."""
    model, stage = call["model"], _StreamState()
    try:
        yield stage
    except GatewayError as error:
        exception = map_exception(error.failure, model, resolve_endpoint(call.get("api_base")).base_url)
        if stage.is_stream and is_routed(call):
            also = dedicated_fallbacks(call)
            exception = wrap_mid_stream(error.failure, exception, model, has_begun=stage.has_begun, also=also)
        raise exception from None
    except UnsupportedParameterError as error:
        raise litellm.UnsupportedParamsError(message=f"MaaS: {error}", model=model, llm_provider=PROVIDER) from None
    except MaasError as error:
        raise litellm.BadRequestError(message=f"MaaS: {error}", model=model, llm_provider=PROVIDER) from None


maas = MaasLLM()
"""The handler instance, for a proxy's `custom_provider_map`."""

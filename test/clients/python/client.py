"""A client of the official Python SDK, for tests: `python3 client.py URL`. How it talks: test/support/clients.ts."""

import asyncio
import json
import sys

import anyio
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

CALL_SECONDS = 30
# Of the client that the SDK makes where it is given none: a server may say nothing on a stream for long.
HTTP_TIMEOUT = httpx2.Timeout(30, read=300)


def say(**line) -> None:
    print(json.dumps(line), flush=True)


async def main(url: str) -> None:
    session = None

    # The SDK does not tell which session it is in, but names it in every request.
    async def note_session(request: httpx2.Request) -> None:
        nonlocal session
        session = request.headers.get("mcp-session-id")

    async def on_log(params) -> None:
        say(heard=params.data)

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        say(progress=progress)

    async with httpx2.AsyncClient(timeout=HTTP_TIMEOUT, event_hooks={"request": [note_session]}) as http:
        transport = streamable_http_client(url, http_client=http)
        # Legacy: a client of 2026-07-28 has no session that its server could forget.
        async with Client(transport, mode="legacy", read_timeout_seconds=CALL_SECONDS, logging_callback=on_log) as client:
            say(connected=True)
            async for line in anyio.wrap_file(sys.stdin):
                call = json.loads(line)
                try:
                    result = await client.call_tool(call["tool"], call["arguments"], progress_callback=on_progress)
                    say(content=[block.model_dump(mode="json") for block in result.content], session=session)
                except Exception as error:
                    say(error=repr(error))


asyncio.run(main(sys.argv[1]))

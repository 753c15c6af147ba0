"""A client of the official Python SDK 1.x, for tests: `python3 client.py URL`. How it talks: test/support/clients.ts."""

import asyncio
import json
import sys
from datetime import timedelta

import anyio
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

CALL = timedelta(seconds=30)


def say(**line) -> None:
    print(json.dumps(line), flush=True)


async def on_log(params) -> None:
    say(heard=params.data)


async def on_progress(progress: float, total: float | None, message: str | None) -> None:
    say(progress=progress)


async def main(url: str) -> None:
    async with streamable_http_client(url) as (read, write, session_id):
        async with ClientSession(read, write, read_timeout_seconds=CALL, logging_callback=on_log) as client:
            await client.initialize()
            # Its notification is on its way still, and one that fails ends this client: an answer says that it has gone through.
            await client.send_ping()
            say(connected=True)
            async for line in anyio.wrap_file(sys.stdin):
                call = json.loads(line)
                try:
                    result = await client.call_tool(call["tool"], call["arguments"], progress_callback=on_progress)
                    say(content=[block.model_dump(mode="json") for block in result.content], session=session_id())
                except Exception as error:
                    say(error=repr(error))


asyncio.run(main(sys.argv[1]))

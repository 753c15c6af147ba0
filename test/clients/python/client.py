"""A client of the official Python SDK, for tests: `python3 client.py URL`. How it talks: test/clients/programs.ts."""

import asyncio
import json
import sys

import anyio
import httpx2
from mcp import Client
from mcp import types
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult

from login import login

CALL_SECONDS = 30
# Of the client that the SDK makes where it is given none: a server may say nothing on a stream for long.
HTTP_TIMEOUT = httpx2.Timeout(30, read=300)


def say(**line) -> None:
    print(json.dumps(line), flush=True)


async def on_log(params) -> None:
    say(heard=params.data)


async def on_progress(progress: float, total: float | None, message: str | None) -> None:
    say(progress=progress)


async def on_message(message) -> None:
    if isinstance(message, types.ToolListChangedNotification):
        say(changed=True)


async def on_elicit(context, params) -> types.ElicitResult:
    return types.ElicitResult(action="accept", content={"word": f"yes to {params.message}"})


async def on_sample(context, params) -> types.CreateMessageResult:
    content = types.TextContent(type="text", text=f"sampled {params.messages[0].content.text}")
    return types.CreateMessageResult(role="assistant", model="test", content=content)


async def tools(client: Client) -> list[str]:
    names = []
    cursor = None
    while True:
        result = await client.list_tools(cursor=cursor)
        names += [tool.name for tool in result.tools]
        cursor = result.next_cursor
        if cursor is None:
            return names


async def abandon(client: Client, task: dict) -> None:
    with anyio.CancelScope() as scope:

        async def cancel(progress: float, total: float | None, message: str | None) -> None:
            scope.cancel()

        await client.call_tool(task["name"], task["arguments"], progress_callback=cancel)
    if not scope.cancelled_caught:
        raise RuntimeError("a call that was cancelled has an answer")


async def perform(client: Client, task: dict):
    match task["do"]:
        case "call":
            result = await client.call_tool(task["name"], task["arguments"], progress_callback=on_progress)
            return [block.model_dump(mode="json") for block in result.content]
        case "abandon":
            return await abandon(client, task)
        case "tools":
            return await tools(client)
        case "prompt":
            result = await client.get_prompt(task["name"], task["arguments"])
            return result.messages[0].content.model_dump(mode="json")
        case "read":
            return (await client.read_resource(task["uri"])).contents[0].text
        case "complete":
            ref = types.PromptReference(type="ref/prompt", name=task["name"])
            result = await client.complete(ref, {"name": task["argument"], "value": task["value"]})
            return result.completion.values
        case "level":
            await client.set_logging_level(task["level"])
        case "ping":
            await client.send_ping()
        case other:
            raise ValueError(f"nobody does {other}")


async def main(url: str) -> None:
    session = None

    # The SDK does not tell which session it is in, but names it in every request.
    async def note_session(request: httpx2.Request) -> None:
        nonlocal session
        session = request.headers.get("mcp-session-id")

    async def answer(client: Client, task: dict) -> None:
        try:
            result = await perform(client, task)
            say(id=task["id"], answer=result, session=session)
        except Exception as error:
            say(id=task["id"], error=repr(error))

    hooks = {"request": [note_session]}
    auth = login(url, AuthorizationCodeResult)
    async with httpx2.AsyncClient(timeout=HTTP_TIMEOUT, event_hooks=hooks, auth=auth) as http:
        # Legacy: a client of 2026-07-28 has no session that its server could forget.
        client = Client(
            streamable_http_client(url, http_client=http),
            mode="legacy",
            read_timeout_seconds=CALL_SECONDS,
            logging_callback=on_log,
            message_handler=on_message,
            elicitation_callback=on_elicit,
            sampling_callback=on_sample,
        )
        async with client, anyio.create_task_group() as tasks:
            say(connected=True)
            async for line in anyio.wrap_file(sys.stdin):
                tasks.start_soon(answer, client, json.loads(line))


asyncio.run(main(sys.argv[1]))

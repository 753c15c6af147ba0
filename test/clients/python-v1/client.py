"""A client of the official Python SDK 1.x, for tests: `python3 client.py URL`. How it talks: test/clients/programs.ts."""

import asyncio
import json
import sys
from datetime import timedelta

import anyio
from mcp import ClientSession, types
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

from login import login

CALL = timedelta(seconds=30)


def say(**line) -> None:
    print(json.dumps(line), flush=True)


async def on_log(params) -> None:
    say(heard=params.data)


async def on_progress(progress: float, total: float | None, message: str | None) -> None:
    say(progress=progress)


async def on_message(message) -> None:
    if isinstance(message, types.ServerNotification) and isinstance(message.root, types.ToolListChangedNotification):
        say(changed=True)


async def on_elicit(context, params) -> types.ElicitResult:
    return types.ElicitResult(action="accept", content={"word": f"yes to {params.message}"})


async def on_sample(context, params) -> types.CreateMessageResult:
    content = types.TextContent(type="text", text=f"sampled {params.messages[0].content.text}")
    return types.CreateMessageResult(role="assistant", model="test", content=content)


async def tools(client: ClientSession) -> list[str]:
    names = []
    cursor = None
    while True:
        result = await client.list_tools(params=types.PaginatedRequestParams(cursor=cursor))
        names += [tool.name for tool in result.tools]
        cursor = result.nextCursor
        if cursor is None:
            return names


async def abandon(client: ClientSession, task: dict) -> None:
    # This SDK cancels no request by itself, and does not tell the id of one.
    request = client._request_id
    begun = anyio.Event()

    async def note(progress: float, total: float | None, message: str | None) -> None:
        begun.set()

    async def call() -> None:
        await client.call_tool(task["name"], task["arguments"], progress_callback=note)
        raise RuntimeError("a call that was cancelled has an answer")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await begun.wait()
        params = types.CancelledNotificationParams(requestId=request)
        await client.send_notification(types.ClientNotification(types.CancelledNotification(params=params)))
        tasks.cancel_scope.cancel()


async def perform(client: ClientSession, task: dict):
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
    auth = login(url, lambda code, state, **_: (code, state))
    async with (
        create_mcp_http_client(auth=auth) as http,
        streamable_http_client(url, http_client=http) as (read, write, session_id),
    ):

        async def answer(client: ClientSession, task: dict) -> None:
            try:
                result = await perform(client, task)
                say(id=task["id"], answer=result, session=session_id())
            except asyncio.CancelledError:
                # A transport that fails takes all of this program with it.
                say(id=task["id"], error="the SDK's transport has ended")
                raise
            except Exception as error:
                say(id=task["id"], error=repr(error))

        client = ClientSession(
            read,
            write,
            read_timeout_seconds=CALL,
            logging_callback=on_log,
            message_handler=on_message,
            elicitation_callback=on_elicit,
            sampling_callback=on_sample,
        )
        async with client:
            await client.initialize()
            # Its notification is on its way still, and one that fails ends this client: an answer says that it has gone through.
            await client.send_ping()
            say(connected=True)
            async with anyio.create_task_group() as tasks:
                async for line in anyio.wrap_file(sys.stdin):
                    tasks.start_soon(answer, client, json.loads(line))


asyncio.run(main(sys.argv[1]))

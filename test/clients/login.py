"""How the clients in Python log in: the SDK's part of OAuth, with what each client has to bring."""

import os
from collections.abc import Callable
from urllib.parse import parse_qs, quote, urlsplit
from urllib.request import urlopen

import anyio
from mcp.client.auth import OAuthClientProvider
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata

REDIRECT_URI = "http://127.0.0.1:1/callback"


class Memory:
    """Keeps what the client is given. With a client id of its own it need not register."""

    def __init__(self, client_id: str | None):
        self.tokens = None
        self.client = client_id and OAuthClientInformationFull(
            client_id=client_id, redirect_uris=[REDIRECT_URI], token_endpoint_auth_method="none"
        )

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client


class Browser:
    """Of the client's user: given an address, it says where it ends."""

    def __init__(self, url: str, result: Callable):
        self.url = url
        self.result = result
        self.end = ""

    async def open(self, url: str) -> None:
        self.end = await anyio.to_thread.run_sync(self.follow, url)

    def follow(self, url: str) -> str:
        with urlopen(f"{self.url}?url={quote(url, safe='')}") as answer:
            return answer.read().decode()

    async def callback(self):
        query = parse_qs(urlsplit(self.end).query)
        return self.result(**{name: values[0] for name, values in query.items()})


def login(url: str, result: Callable) -> OAuthClientProvider | None:
    """For a client whose user has a browser, which the environment names. `result` makes what this SDK takes of a callback's query."""
    if "BROWSER_URL" not in os.environ:
        return None
    browser = Browser(os.environ["BROWSER_URL"], result)
    metadata = OAuthClientMetadata(client_name="test", redirect_uris=[REDIRECT_URI], token_endpoint_auth_method="none")
    memory = Memory(os.environ.get("CLIENT_ID"))
    return OAuthClientProvider(url, metadata, memory, browser.open, browser.callback)

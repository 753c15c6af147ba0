"""mcp-server-time of PyPI over HTTP, for the demo: `python3 time_server.py PORT`. Its own command speaks stdio alone."""

import sys

from mcp_server_time.server import create_server

create_server("UTC").run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))

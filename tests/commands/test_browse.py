"""The explorer's server, on any host it is asked to listen on."""

import asyncio
import re
import socket

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.websocket import websocket_connect
from view.test_explorer_pages import small

from xrfsr_dask.commands.browse import _origins as origins
from xrfsr_dask.commands.browse import address_of, browse, page_of
from xrfsr_dask.errors import InputError, OptionError
from xrfsr_dask.result import open_patch


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return small(tmp_path_factory.mktemp("browse") / "p.zarr")


def free_port(host: str) -> int:
    """A port that nobody listens on; skips where this machine has no such address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as tried:
            tried.bind((host.strip("[]"), 0))
            return tried.getsockname()[1]
    except OSError as error:
        pytest.skip(f"nothing can listen on {host} here ({error})")


async def is_told(where: str) -> bool:
    """Whether a browser that loads the page at an address is let in to be told of it."""
    page = await AsyncHTTPClient().fetch(where)
    token = re.search(r'"token":"([^"]+)"', page.body.decode()).group(1)
    headers = {"Origin": where.rstrip("/").lower()}
    asked = HTTPRequest(f"ws{where.removeprefix('http')}ws", headers=headers)
    connection = await websocket_connect(asked, subprotocols=["bokeh", token])
    told = await asyncio.wait_for(connection.read_message(), 60)
    connection.close()
    return "ACK" in str(told)


@pytest.mark.parametrize("chosen", [False, True])
@pytest.mark.parametrize(
    ("host", "everyone", "seen"),
    [
        ("127.0.0.1", False, "127.0.0.1"),
        ("LOCALHOST", False, "LOCALHOST"),
        ("127.0.0.2", False, "127.0.0.2"),
        ("::1", False, "[::1]"),
        ("0.0.0.0", True, "127.0.0.1"),
        ("::", True, "[::1]"),
        ("", True, "127.0.0.1"),
        ("0", True, "127.0.0.1"),
        ("[::1]", False, "[::1]"),
    ],
)
def test_the_page_is_where_its_address_says(store, host, everyone, seen, chosen):
    port = free_port(host)

    async def visited() -> None:
        server = browse(store, host=host, port=port if chosen else 0, everyone=everyone, show=False)
        try:
            assert address_of(server) == f"http://{seen}:{server.port}/"
            assert await is_told(address_of(server))
        finally:
            server.stop()

    asyncio.run(visited())


def test_a_patch_alone_is_no_result(store):
    with pytest.raises(InputError, match="the explorer shows a result"):
        page_of(open_patch(store, "a"))


def test_names_are_let_in_as_browsers_write_them():
    assert [origins(host, 5006) for host in ("MyHost", "10.1")] == [["myhost:5006"], ["10.0.0.1:5006"]]
    assert [origins(host, 5006) for host in ("localhost.", "::ffff:127.0.0.1", "127.1")] == [None] * 3
    assert [origins(host, 5006) for host in ("0", "::", "fe80::1")] == [["*"]] * 3


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.1.2.3", "fe80::1", "elsewhere.org"])
def test_what_others_reach_is_refused_unless_meant(store, host):
    with pytest.raises(OptionError, match=f"--host {re.escape(host)} lets others .* add --everyone"):
        browse(store, host=host, show=False)

"""The clients whose errors are recognised, each asking a server of ours, and raising what it will.

They are imported where they are used: a client that is not installed skips its own rows alone.
"""

import asyncio
import json
import urllib.request

import pytest
import requests
import urllib3

KEY = "sk-planted-0123456789"


def with_requests(url):
    requests.post(url, json={}, timeout=5).raise_for_status()


def with_requests_streamed(url):
    response = requests.post(url, json={}, timeout=5, stream=True)
    response.raise_for_status()
    list(response.iter_lines())


def with_urllib3(url):
    with urllib3.PoolManager(retries=urllib3.Retry(0)) as pool:
        pool.request("POST", url, json={}, timeout=5)


def with_urllib(url):
    request = urllib.request.Request(url, data=b"{}")
    with urllib.request.urlopen(request, timeout=5) as response:
        json.load(response)


def with_httpx(url):
    httpx = pytest.importorskip("httpx")
    httpx.post(url, json={}, timeout=5).raise_for_status()


def with_httpx_streamed(url):
    httpx = pytest.importorskip("httpx")
    with httpx.stream("POST", url, json={}, timeout=5) as response:
        response.raise_for_status()


def with_openai(url, **options):
    openai = pytest.importorskip("openai")
    with openai.OpenAI(api_key=KEY, base_url=url, max_retries=0, timeout=5) as client:
        client.chat.completions.create(model="m", messages=[], **options)


def with_anthropic(url):
    _anthropic(url)


def with_anthropic_streamed(url):
    _anthropic(url, stream=True)


def _anthropic(url, **options):
    anthropic = pytest.importorskip("anthropic")
    with anthropic.Anthropic(api_key=KEY, base_url=url, max_retries=0, timeout=5) as client:
        list(client.messages.create(model="m", messages=[], max_tokens=1, **options))


def with_aiohttp(url):
    aiohttp = pytest.importorskip("aiohttp")

    async def post():
        async with aiohttp.ClientSession() as session, session.post(url, json={}) as response:
            response.raise_for_status()
            await response.read()

    asyncio.run(post())


CLIENTS = {
    "requests": with_requests,
    "requests, streamed": with_requests_streamed,
    "urllib3": with_urllib3,
    "urllib": with_urllib,
    "httpx": with_httpx,
    "httpx, streamed": with_httpx_streamed,
    "openai": with_openai,
    "anthropic": with_anthropic,
    "aiohttp": with_aiohttp,
}


def error_of(client, url):
    """What a client raises; what it holds open is closed."""
    try:
        client(url)
    except Exception as error:
        if hasattr(error, "close"):
            error.close()
        return error
    return pytest.fail("nothing was raised")

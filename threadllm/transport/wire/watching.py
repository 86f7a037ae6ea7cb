"""Whether anybody stands between requests and the socket who would miss being asked."""

from __future__ import annotations

import http.client
import logging

from requests import adapters, cookies, models, structures, utils
from requests.adapters import HTTPAdapter
from urllib3 import connection, connectionpool

from threadllm.transport.originals import Originals

_PASSED_BY = Originals(
    [
        (HTTPAdapter, "send build_response add_headers", adapters),
        (HTTPAdapter, "get_connection_with_tls_context cert_verify request_url", adapters),
        (adapters, "Response", models),
        (adapters, "CaseInsensitiveDict", structures),
        (adapters, "get_encoding_from_headers", utils),
        (adapters, "extract_cookies_to_jar", cookies),
        (models.Response, "__init__", models),
        (connectionpool.HTTPConnectionPool, "urlopen _make_request", connectionpool),
        (connectionpool.HTTPConnectionPool, "_new_conn _get_conn _put_conn", connectionpool),
        (connectionpool.HTTPSConnectionPool, "urlopen _new_conn", connectionpool),
        (connection.HTTPConnection, "connect request putrequest putheader getresponse", connection),
        (connection.HTTPConnection, "endheaders send", http.client),
        (connection.HTTPSConnection, "connect request putheader getresponse", connection),
        (http.client.HTTPConnection, "connect request putrequest putheader", http.client),
        (http.client.HTTPConnection, "endheaders send getresponse", http.client),
        (http.client.HTTPResponse, "begin read", http.client),
    ]
)
_LOG = logging.getLogger("urllib3.connectionpool")


def unwatched() -> bool:
    """Whether no step from requests' adapter to the socket is instrumented, mocked or logged."""
    client = http.client.HTTPConnection
    return (
        _PASSED_BY.genuine
        and connectionpool.HTTPConnectionPool.ConnectionCls is connection.HTTPConnection
        and connectionpool.HTTPSConnectionPool.ConnectionCls is connection.HTTPSConnection
        and not client.debuglevel
        and not _LOG.isEnabledFor(logging.DEBUG)
    )

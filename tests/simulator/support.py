"""What the simulator's tests share: short ways to ask, and to wait for what must come."""

import socket

import requests

CHAT = "/v1/chat/completions"


def chat_body(prompt="hello", **more):
    return {"model": "m", "messages": [{"role": "user", "content": prompt}], **more}


def post(sim, path, body, **options):
    return requests.post(sim.url + path, json=body, timeout=5, **options)


def chat(sim, prompt="hello", headers=None, **more):
    return post(sim, CHAT, chat_body(prompt, **more), headers=headers)


def connect(sim, request=None):
    """A raw connection that has sent a request."""
    if request is None:
        request = (
            "GET /search?q=hello HTTP/1.1\r\n"
            f"Host: 127.0.0.1:{sim.port}\r\nConnection: close\r\n\r\n"
        )
    sock = socket.create_connection(("127.0.0.1", sim.port), timeout=5)
    sock.sendall(request.encode())
    return sock


def read_all(sock):
    """Everything until the server closes."""
    received = b""
    while chunk := sock.recv(65536):
        received += chunk
    return received

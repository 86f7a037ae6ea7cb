"""Where hundreds wait for answers: one thread waits for all of them, and wakes a few at a time.

A thread whose answer has come wants the interpreter's lock, and looks for it 200 times a second
until it is its turn. One hundred of them do no harm; when many hundreds have their answers at once,
the looking takes most of what the machine can do, and whoever has the lock hardly gets on. So they
wait for locks of their own, which costs nothing, and are let go as fast as those before them are
through: whoever wakes them has to queue for the interpreter's lock as they do.

It takes epoll (Linux); elsewhere everyone waits for itself.
"""

from __future__ import annotations

import os
import select
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable

MANY = 256  # up to so many wait each for itself, which is faster
_AT_ONCE = 8  # are woken
_FOREVER = -1.0
_EPOLL = getattr(select, "epoll", None)
_ONCE = 0 if _EPOLL is None else select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLONESHOT


class Crowd:
    """Those of one dispatcher that wait for answers.

    Attributes:
        awaited: The sockets on which one is awaited, by whoever waits. No lock: each step of a set
            is atomic, as is each of a dict below.
    """

    def __init__(self) -> None:
        self.awaited: set[socket.socket] = set()
        self._asleep: dict[int, threading.Lock] = {}  # by the sockets' descriptors
        self._lock = threading.Lock()  # guards what follows, which is also read without it
        self._waker: _Waker | None = None
        self._closed = _EPOLL is None

    def wait(self, sock: socket.socket, seconds: float | None) -> bool:
        """Wait until there is something to read, or it is better waited for at the socket itself.

        Args:
            sock: One of those that are awaited.
            seconds: The longest wait; None for none.

        Returns:
            Whether it was not too long.
        """
        waker = self._waker or self._start()
        if waker is None:
            return True
        descriptor, lock = sock.fileno(), threading.Lock()
        lock.acquire()
        self._asleep[descriptor] = lock
        try:
            waker.watch(descriptor)
            if self._closed:  # meanwhile: nobody may be there to wake it
                return True
            is_woken = lock.acquire(timeout=_FOREVER if seconds is None else seconds)
        except (OSError, ValueError):  # the socket is closed, or the waker: that is found out there
            return True
        finally:
            is_asleep = self._asleep.pop(descriptor, None) is not None
        return is_woken or not is_asleep

    def close(self) -> None:
        """Have all wait for themselves, now and from now on."""
        with self._lock:
            waker, self._waker, self._closed = self._waker, None, True
        if waker is not None:
            waker.close()
        self._wake([*self._asleep])

    def _wake(self, descriptors: Iterable[int]) -> None:
        for descriptor in descriptors:
            lock = self._asleep.pop(descriptor, None)
            if lock is not None:
                lock.release()

    def _start(self) -> _Waker | None:
        with self._lock:
            if self._waker is None and not self._closed:
                try:
                    self._waker = _Waker(self._wake)
                except (OSError, RuntimeError):  # no descriptor is left, or no thread
                    self._closed = True
            return self._waker


class _Waker:
    """The thread that waits for all.

    Args:
        wake: Told the descriptors of those that have something to read, a few at a time.
    """

    def __init__(self, wake: Callable[[Iterable[int]], None]) -> None:
        self._wake = wake
        self._epoll = select.epoll()
        self._ear, self._bell = os.pipe()
        self._epoll.register(self._ear, select.EPOLLIN)
        self._thread = threading.Thread(target=self._run, name="threadllm-answers", daemon=True)
        self._thread.start()

    def watch(self, descriptor: int) -> None:
        """Tell of that one, once.

        Raises:
            OSError: It is closed.
            ValueError: This is.
        """
        try:
            self._epoll.modify(descriptor, _ONCE)
        except FileNotFoundError:
            self._epoll.register(descriptor, _ONCE)

    def close(self) -> None:
        """End the thread."""
        os.write(self._bell, b"!")
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        ear = self._ear
        try:
            while ear not in (ready := [one for one, _ in self._epoll.poll(None, _AT_ONCE)]):
                self._wake(ready)
        finally:
            self._epoll.close()
            os.close(ear)
            os.close(self._bell)

#!/usr/bin/env python3
"""Run: `portkeep dev --project examples/python`, then open http://127.0.0.1:8080/

The protocol without a library: a socket by its name, READY=1, and an end at SIGTERM: nothing more is
accepted, each answer says `Connection: close`, and what is still idle after five seconds is closed.
"""

import os
import signal
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Hello(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 5  # How long a connection may be idle, in seconds.

    def do_GET(self):
        body = f"Hello from process {os.getpid()}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        if ending.is_set() or self.close_connection:  # What the client asked for is confirmed.
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)


def passed_socket(name):
    """The descriptors begin at 3, and are in no certain order."""
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    return socket.socket(fileno=3 + names.index(name))


def notify(text):
    path = os.environ.get("NOTIFY_SOCKET")
    if path:
        path = "\0" + path[1:] if path.startswith("@") else path
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.sendto(text.encode(), path)


ending = threading.Event()
server = ThreadingHTTPServer(("", 0), Hello, bind_and_activate=False)
server.daemon_threads = False  # Requests that run are finished.
server.socket.close()
server.socket = passed_socket("http")


def end(*_):
    ending.set()
    # Waits for the loop, which runs in this thread.
    threading.Thread(target=server.shutdown).start()


signal.signal(signal.SIGTERM, end)
notify("READY=1")
server.serve_forever(poll_interval=0.1)

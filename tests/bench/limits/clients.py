#!/usr/bin/env python3
"""What servers do with clients that misbehave: clients.py PORTKEEP_APP.

Each server runs with the limits that it comes with, on loopback, and each client connects to all of them at once. A table says
after how many seconds the server ended the connection and what it said before. PORTKEEP_APP is `tls-bench`.
"""

import http.server
import pathlib
import selectors
import socket
import subprocess
import sys
import tempfile
import threading
import time

# Beyond the longest default of all (75 s), and what a server may take to notice.
PATIENCE = 100
HEAD = b"GET / HTTP/1.1\r\nHost: test\r\n"
BODY = b"POST /body HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\nx"


class Upstream(http.server.BaseHTTPRequestHandler):
    """What nginx and HAProxy forward to. It has no limits."""

    protocol_version = "HTTP/1.1"

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(b"x" * 50_000_000 if self.path == "/big" else b"hello")

    def do_POST(self):
        self.answer(str(len(self.rfile.read(int(self.headers["Content-Length"])))).encode())

    def log_message(self, *_):
        pass


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


NGINX = """
daemon off; master_process off; pid {directory}/pid; error_log stderr crit;
events {{}}
http {{
  access_log off;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{upstream}; }} }}
}}
"""

# HAProxy has no limits of its own: these are those of Debian's haproxy.cfg.
HAPROXY = """
defaults
  mode http
  timeout connect 5000
  timeout client 50000
  timeout server 50000
frontend front
  bind 127.0.0.1:{port}
  default_backend back
backend back
  server one 127.0.0.1:{upstream}
"""


def start(command):
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def version(command):
    told = subprocess.run(command, capture_output=True, text=True)
    first = (told.stdout + told.stderr).splitlines()[0]
    return next(part for part in first.replace("/", " ").split() if part[0].isdigit())


def servers(app, directory):
    """(name, port, process) of each."""
    upstream = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    upstream.daemon_threads = True
    # That a client is gone is what is looked for.
    upstream.handle_error = lambda *_: None
    threading.Thread(target=upstream.serve_forever, daemon=True).start()
    ports = [free_port() for _ in range(3)]
    for text, name, port in ((NGINX, "nginx.conf", ports[1]), (HAPROXY, "haproxy.cfg", ports[2])):
        filled = text.format(directory=directory, port=port, upstream=upstream.server_address[1])
        (directory / name).write_text(filled)
    nginx = version(["nginx", "-v"])
    haproxy = version(["haproxy", "-v"])
    return [
        ("portkeep", ports[0], start([app, "plain", f"127.0.0.1:{ports[0]}"])),
        (f"nginx {nginx}", ports[1], start(["nginx", "-p", directory, "-c", directory / "nginx.conf"])),
        (f"HAProxy {haproxy}, Debian's limits", ports[2], start(["haproxy", "-db", "-f", directory / "haproxy.cfg"])),
    ]


def until_open(port):
    deadline = time.monotonic() + 30
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def connect(port, reads=True):
    one = socket.socket()
    if not reads:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    one.connect(("127.0.0.1", port))
    return one


def misbehave(port, first, answered=False, drip=None, reads=True):
    """Sends `first`, and `drip` (bytes, seconds) again and again. Returns after how long it ended, and what came."""
    client = connect(port, reads)
    client.sendall(first)
    if answered:
        client.recv(65536)
    began = time.monotonic()
    ends = began + PATIENCE
    next_drip = began + drip[1] if drip else None
    heard = b""
    selector = selectors.DefaultSelector()
    selector.register(client, selectors.EVENT_READ)
    while (now := time.monotonic()) < ends:
        if next_drip is not None and now >= next_drip:
            next_drip += drip[1]
            try:
                client.sendall(drip[0])
            except OSError:
                return now - began, heard
        if not reads:
            # Only an error shows here; what is there is not read.
            if client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or is_gone(port, client):
                return now - began, heard
            time.sleep(0.2)
            continue
        if not selector.select(min(1, max(0, (next_drip or ends) - now))):
            continue
        try:
            part = client.recv(65536)
        except OSError:
            part = b""
        if not part:
            return time.monotonic() - began, heard
        heard += part
    return None, heard


def is_gone(port, client):
    """Whether the other side has closed: by the kernel's table, because its end is behind what is not read."""
    own = f":{client.getsockname()[1]:04X}"
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, state = line.split()[:4]
        if local.endswith(f":{port:04X}") and remote.endswith(own):
            # ESTABLISHED
            return state != "01"
    return True


CLIENTS = {
    "idle after an answer": dict(first=HEAD + b"\r\n", answered=True),
    "sends nothing": dict(first=b""),
    "half a head, then nothing": dict(first=HEAD),
    "a head of one byte in 5 s": dict(first=HEAD, drip=(b"x", 5)),
    "half a body, then nothing": dict(first=BODY),
    "a body of one byte in 5 s": dict(first=BODY, drip=(b"x", 5)),
    "does not read an answer of 50 MB": dict(first=b"GET /big HTTP/1.1\r\nHost: test\r\n\r\n", reads=False),
}


def told(result):
    after, heard = result
    if after is None:
        return f"still open after {PATIENCE} s"
    status = heard.split(b"\r\n")[0].split(b" ")[1:2]
    return f"{after:.0f} s" + (f", {status[0].decode()}" if heard.startswith(b"HTTP/1.1 ") and status else "")


def main():
    results = {}
    with tempfile.TemporaryDirectory() as directory:
        # Whoever nginx becomes writes there.
        pathlib.Path(directory).chmod(0o755)
        running = servers(sys.argv[1], pathlib.Path(directory))
        try:
            threads = []
            for name, port, _ in running:
                until_open(port)
                for client, how in CLIENTS.items():
                    def run(key=(client, name), port=port, how=how):
                        results[key] = told(misbehave(port, **how))

                    threads.append(threading.Thread(target=run))
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            for _, _, process in running:
                process.kill()
                process.wait()
    names = [name for name, _, _ in running]
    print("| client | " + " | ".join(names) + " |")
    print("|---|" + "---|" * len(names))
    for client in CLIENTS:
        print(f"| {client} | " + " | ".join(results.get((client, name), "failed") for name in names) + " |")


main()

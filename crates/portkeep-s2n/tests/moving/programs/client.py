"""Python's ssl and http.client, each on one connection, until standard input ends: client.py PORT CA

Says `ready` when each has one."""
import http.client
import socket
import ssl
import sys
import threading
import time

port, authority = int(sys.argv[1]), sys.argv[2]
context = ssl.create_default_context(cafile=authority)
over = threading.Event()
ready = threading.Barrier(3)
answers, errors = [], []


def by_socket():
    stream = context.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname="localhost")
    received = stream.makefile("rb")

    def ask():
        stream.sendall(b"GET /peer HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head = iter(received.readline, b"\r\n")
        fields = dict(line.lower().strip().split(b": ", 1) for line in head if b": " in line)
        assert fields.get(b"connection") != b"close", fields
        return received.read(int(fields[b"content-length"]))

    return ask


def by_http_client():
    connection = http.client.HTTPSConnection("localhost", port, context=context)
    connection.connect()
    # It would open another one.
    connection.auto_open = 0

    def ask():
        connection.request("GET", "/peer")
        return connection.getresponse().read()

    return ask


def keep_asking(begin):
    try:
        ask, count = begin(), 0
        peer = ask().split()[0]
        ready.wait()
        while not over.is_set():
            now = ask().split()[0]
            assert now == peer, f"another connection: {peer}, {now}"
            count += 1
            time.sleep(0.002)
        answers.append(count)
    except BaseException as error:
        ready.abort()
        errors.append(f"{begin.__name__}: {error!r}")


threads = [threading.Thread(target=keep_asking, args=(begin,)) for begin in (by_socket, by_http_client)]
for thread in threads:
    thread.start()
try:
    ready.wait()
    print("ready", flush=True)
except threading.BrokenBarrierError:
    pass
sys.stdin.read()
over.set()
for thread in threads:
    thread.join()
if errors:
    sys.exit("\n".join(errors))
print(min(answers))

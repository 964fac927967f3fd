#!/usr/bin/env node
// Run: `portkeep dev --project examples/node`, then open http://127.0.0.1:8080/
//
// The protocol without a library: a socket by its name, and an end at SIGTERM: nothing more is accepted,
// each answer says `Connection: close`, and what is still idle after five seconds is closed. Node cannot
// send READY=1 by itself, so the spec says `"readiness": "started"`: until it listens, clients wait.
import { createServer } from "node:http";
import { Server } from "node:net";

let ending = false;

const server = createServer((request, response) => {
  if (ending) response.setHeader("Connection", "close");
  response.end(`Hello from process ${process.pid}\n`);
});

// The descriptors begin at 3, and are in no certain order.
const names = (process.env.LISTEN_FDNAMES ?? "").split(":");
const fd = 3 + names.indexOf("http");

process.on("SIGTERM", () => {
  ending = true;
  // Not server.close(), which closes idle connections at once, under a request that is on its way.
  Server.prototype.close.call(server, () => process.exit(0));
  setTimeout(() => server.closeIdleConnections(), 5000);
});

server.listen(fd >= 3 ? { fd } : { port: 8080, host: "127.0.0.1" });

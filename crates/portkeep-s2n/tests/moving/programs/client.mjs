// Node's https and fetch until standard input ends: client.mjs PORT, with NODE_EXTRA_CA_CERTS.
// Says `ready` when each has its connections: fetch begins with one or two, and both keep to them.
import https from "node:https";
import { setTimeout as sleep } from "node:timers/promises";

const port = process.argv[2];
const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
let over = false;
process.stdin.resume().on("end", () => (over = true));

const byHttps = () =>
  new Promise((resolve, reject) => {
    const options = { agent, host: "127.0.0.1", servername: "localhost", port, path: "/peer" };
    https
      .get(options, async (response) => resolve((await response.toArray()).join("")))
      .on("error", reject);
  });
const byFetch = async () => (await fetch(`https://localhost:${port}/peer`)).text();

const begin = async (ask) => {
  const peers = new Set();
  for (let count = 0; count < 50; count++) peers.add((await ask()).split(" ")[0]);
  return peers;
};
const keepAsking = async (ask, peers) => {
  let count = 0;
  for (; !over; count++) {
    const peer = (await ask()).split(" ")[0];
    if (!peers.has(peer)) throw new Error(`another connection: ${[...peers]}, ${peer}`);
    await sleep(2);
  }
  return count;
};

const ways = [byHttps, byFetch];
const peers = await Promise.all(ways.map(begin));
console.log("ready");
const counts = await Promise.all(ways.map((ask, number) => keepAsking(ask, peers[number])));
console.log(Math.min(...counts));
process.exit();

// ---- one connection for all tabs -------------------------------------------------------------------------------------
// A browser has six connections to a host; a page that is open in seven tabs must still load.

const others = "BroadcastChannel" in window ? new BroadcastChannel(key) : null;
if (others) others.onmessage = (message) => heed(message.data);

let source = null;
const listen = () => {
  let pause = 20;
  const open = () => {
    source = new EventSource(address("events"));
    source.onmessage = (message) => {
      pause = 20;
      const state = JSON.parse(message.data);
      others?.postMessage(state);
      heed(state);
    };
    source.onerror = () => {
      // A drained generation ends the connection, and the next one is there already: do not wait as long as a browser
      // would.
      source.close();
      setTimeout(open, pause);
      pause = Math.min(pause * 2, 1000);
    };
  };
  open();
};

// One query, for a page that slept or is new: the shared connection reports only changes.
const look = () => {
  const once = new EventSource(address("events"));
  once.onmessage = (message) => {
    once.close();
    heed(JSON.parse(message.data));
  };
  once.onerror = () => once.close();
};

if (others && navigator.locks) {
  navigator.locks.request(key, () => {
    listen();
    // Until this tab is closed; then another one takes over.
    return new Promise(() => {});
  });
  look();
} else {
  listen();
}
addEventListener("pageshow", (event) => event.persisted && look());
document.addEventListener("resume", look);
addEventListener("visibilitychange", () => document.visibilityState === "visible" && look());


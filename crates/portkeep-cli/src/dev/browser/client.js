// What `portkeep dev` adds to a page: reloads it for a new version, and shows what is built and what failed.
// Everything that is shown is set as text, never as markup.
const script = document.currentScript;
const key = "portkeep-dev";
// A frame is part of a page, which has this script itself.
if (window.top !== window || window[key]) return;
window[key] = true;

const address = (path) => new URL(path, script.src).href;
// What this page is made of.
const page = { generation: Number(script.dataset.generation), session: null, styles: 0, assets: 0 };
let shown = null;

// ---- when to reload --------------------------------------------------------------------------------------------------

const heed = (state) => {
  if (page.session === null) {
    Object.assign(page, { session: state.session, styles: state.styles, assets: state.assets });
  }
  // What an old generation says of a new one is no reason to reload: the answer could be its own.
  const current = state.generation !== null && state.via === state.generation;
  if (state.session !== page.session) return reload(`session ${state.session}`);
  if (current && page.generation < state.pageSince) return reload(`generation ${state.generation}`);
  if (current && page.assets !== state.assets) return reload(`assets ${state.assets}`);
  if (current && page.styles !== state.styles) {
    page.styles = state.styles;
    swapStyles(state.styles);
  }
  show(state);
};

const reload = (why) => {
  // A page that stays what it was (a cache in between) must not be loaded for ever.
  const before = JSON.parse(sessionStorage.getItem(key) ?? "{}");
  const times = before.why === why ? before.times + 1 : 1;
  if (times > 3) return;
  sessionStorage.setItem(key, JSON.stringify({ why, times }));
  location.reload();
};

const swapStyles = (revision) => {
  for (const link of document.querySelectorAll('link[rel~="stylesheet" i][href]')) {
    const href = new URL(link.href, location.href);
    if (href.origin !== location.origin) continue;
    href.searchParams.set("portkeep", revision);
    const next = link.cloneNode();
    next.href = href.href;
    // The old one stays until the new one is there: no flash of a page without style.
    next.addEventListener("load", () => link.remove(), { once: true });
    next.addEventListener("error", () => next.remove(), { once: true });
    link.after(next);
  }
};

// ---- one connection for all tabs -------------------------------------------------------------------------------------
// A browser has six connections for a host; a page that is open in seven tabs must still load.

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
      // A drained generation ends it, and the next one is there already: do not wait as long as a browser would.
      source.close();
      setTimeout(open, pause);
      pause = Math.min(pause * 2, 1000);
    };
  };
  open();
};

// One look, for a page that slept or has just come: whoever has the connection speaks only when something happens.
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
addEventListener("visibilitychange", () => document.visibilityState === "visible" && look());

// ---- what is shown ---------------------------------------------------------------------------------------------------

const element = (name, className, ...children) => {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
};

const host = document.createElement("portkeep-dev");
const shadow = host.attachShadow({ mode: "open" });
// Not a <style>: a page's policy may forbid that.
const sheet = new CSSStyleSheet();
sheet.replaceSync(options.style);
shadow.adoptedStyleSheets = [sheet];

const markText = element("span");
const mark = element("div", "mark", element("span", "spin"), markText);
mark.setAttribute("role", "status");
const title = element("h2");
const close = element("button", "", "Dismiss");
close.title = "Esc";
const parts = element("div", "parts");
const footer = element("footer");
const overlay = element("section", "overlay", element("header", "", title, close), parts, footer);
overlay.setAttribute("role", "alert");
const root = element("div", "root", overlay, mark);
mark.hidden = overlay.hidden = true;
shadow.append(root);

let dismissed = null;
const dismiss = () => {
  dismissed = JSON.stringify(shown?.failure ?? null);
  show(shown);
};
close.addEventListener("click", dismiss);
addEventListener("keydown", (event) => event.key === "Escape" && !overlay.hidden && dismiss());
mark.addEventListener("click", () => {
  dismissed = null;
  show(shown);
});

const show = (state) => {
  if (!state) return;
  const failure = JSON.stringify(state.failure);
  const isNew = failure !== JSON.stringify(shown?.failure ?? null);
  shown = state;
  if (!host.isConnected) document.documentElement.append(host);
  if (state.failure === null) dismissed = null;
  overlay.hidden = state.failure === null || dismissed === failure;
  if (isNew && state.failure) fill(state.failure);
  footer.textContent = state.generation === null
    ? "Nothing serves yet. This goes away at the next good build."
    : `Generation ${state.generation} serves on, and the page works. This goes away at the next good build.`;
  tick();
};

const doing = { building: "building", checking: "checking", starting: "starting" };
const tick = () => {
  if (!shown) return;
  const busy = shown.phase !== "idle";
  const seconds = ((Date.now() - shown.since) / 1000).toFixed(1);
  const what = shown.phase === "checking" ? ` ${shown.what}` : "";
  markText.textContent = busy ? `${doing[shown.phase]}${what} ${seconds} s` : shown.failure?.title ?? "";
  mark.classList.toggle("bad", !busy);
  mark.hidden = !busy && (shown.failure === null || !overlay.hidden);
};
setInterval(tick, 100);

const fill = (failure) => {
  title.textContent = failure.title;
  parts.replaceChildren();
  const of = (level) => failure.parts.filter((part) => part.level === level).map((part) => render(part.text));
  const warnings = of("warning");
  parts.append(...of("error"));
  if (warnings.length > 0) {
    const count = warnings.length === 1 ? "1 warning" : `${warnings.length} warnings`;
    parts.append(element("details", "", element("summary", "", count), ...warnings));
  }
  parts.scrollTop = 0;
};

// ---- a terminal's colours, and links to places in files --------------------------------------------------------------

const ESCAPE = /\x1b\[([0-9;]*)m|\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b./g;
const PLACE = /((?:[A-Za-z0-9_@.+-]*\/)*[A-Za-z0-9_@+-][A-Za-z0-9_@.+-]*\.[A-Za-z]{1,8}):(\d+)(?::(\d+))?/g;

const render = (text) => {
  const pre = element("pre");
  let style = {};
  let from = 0;
  const add = (piece) => {
    if (piece === "") return;
    const classes = [style.bold && "b", style.dim && "d", style.italic && "i", style.underline && "u", style.color];
    const span = element("span", classes.filter(Boolean).join(" "), ...links(piece));
    if (style.rgb) span.style.color = style.rgb;
    pre.append(span);
  };
  for (const found of text.matchAll(ESCAPE)) {
    add(text.slice(from, found.index));
    from = found.index + found[0].length;
    if (found[1] !== undefined) style = colour(style, found[1].split(";").map(Number));
  }
  add(text.slice(from));
  return pre;
};

const colour = (before, codes) => {
  let style = { ...before };
  for (let at = 0; at < codes.length; at++) {
    const code = codes[at];
    if (code === 0) style = {};
    else if (code === 1) style.bold = true;
    else if (code === 2) style.dim = true;
    else if (code === 3) style.italic = true;
    else if (code === 4) style.underline = true;
    else if (code === 22) style.bold = style.dim = false;
    else if (code === 39) style.color = style.rgb = undefined;
    else if (code >= 30 && code <= 37) Object.assign(style, { color: `f${code - 30}`, rgb: undefined });
    else if (code >= 90 && code <= 97) Object.assign(style, { color: `f${code - 90}`, rgb: undefined });
    else if (code === 38 && codes[at + 1] === 5) {
      Object.assign(style, palette(codes[at + 2]));
      at += 2;
    } else if (code === 38 && codes[at + 1] === 2) {
      Object.assign(style, { color: undefined, rgb: `rgb(${codes.slice(at + 2, at + 5).join(",")})` });
      at += 4;
    } else if (code === 48) at += codes[at + 1] === 5 ? 2 : 4;
  }
  return style;
};

const palette = (index) => {
  if (index < 16) return { color: `f${index % 8}`, rgb: undefined };
  if (index >= 232) {
    const grey = 8 + (index - 232) * 10;
    return { color: undefined, rgb: `rgb(${grey},${grey},${grey})` };
  }
  const step = (value) => (value === 0 ? 0 : 55 + value * 40);
  const cube = index - 16;
  return { color: undefined, rgb: `rgb(${step(Math.floor(cube / 36))},${step(Math.floor(cube / 6) % 6)},${step(cube % 6)})` };
};

const links = (text) => {
  const made = [];
  let from = 0;
  for (const found of text.matchAll(PLACE)) {
    const [whole, path, line, column] = found;
    const file = path.startsWith("/") ? path : `${options.root}/${path}`;
    const link = element("a", "", whole);
    const values = { file: encodeURI(file), line, column: column ?? "1" };
    link.href = options.editor.replace(/\{(file|line|column)\}/g, (_, name) => values[name]);
    made.push(text.slice(from, found.index), link);
    from = found.index + whole.length;
  }
  made.push(text.slice(from));
  return made;
};

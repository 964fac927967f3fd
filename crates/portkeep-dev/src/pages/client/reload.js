// Script that `portkeep dev` adds to a page: reloads it for a new version, and shows builds and failures.
// Everything that is shown is set as text, never as markup. The files of this directory are one function, in the order
// reload, connection, overlay, terminal.
const script = document.currentScript;
const key = "portkeep-dev";
// A frame is part of a page that has this script itself.
if (window.top !== window || window[key]) return;
window[key] = true;

const address = (path) => new URL(path, script.src).href;

// ---- when to reload --------------------------------------------------------------------------------------------------

// What this page was made from, as known before it was made; if unknown then, as first received.
const page = { generation: Number(script.dataset.generation), session: null, styles: 0, assets: 0 };
if (script.dataset.madeOf) {
  const [session, styles, assets] = script.dataset.madeOf.split(" ").map(Number);
  Object.assign(page, { session, styles, assets });
}
// Loading it again would send a form again.
const posted = "posted" in script.dataset;
// A page of portkeep's, for a request that waited for the longest allowed time.
const waiting = "waiting" in script.dataset;

// The last state received.
let shown = null;
// Why this page is outdated, if it does not reload by itself.
let stale = null;

const heed = (state) => {
  if (page.session === null) {
    Object.assign(page, { session: state.session, styles: state.styles, assets: state.assets });
  }
  // News of a new generation from an old one is no reason to reload: the old one could answer that reload.
  const current = state.generation !== null && state.via === state.generation;
  if (state.session !== page.session) reload(state, `session ${state.session}`);
  else if (current && page.generation < state.pageSince) reload(state, `generation ${state.generation}`);
  else if (current && waiting && state.phase === "idle") reload(state, `waited ${state.generation} ${state.since}`);
  else if (current && page.assets < state.assets) {
    page.assets = state.assets;
    reloadForFiles(state);
  } else if (current && page.styles < state.styles) {
    page.styles = state.styles;
    swapStyles(state);
  }
  show(state);
  settle();
};

const NEW_VERSION = "a new version is ready: click to load it";
const FORM = "a new version is ready: click to load it, which sends the form again";
let leaving = null;

const reload = (state, why, more = {}) => {
  // All further messages say the same, until the page is gone.
  if (leaving === why) return;
  leaving = why;
  if (posted) return stay(FORM);
  // A page that stays the same (because of a cache) must not be loaded for ever.
  const before = remembered();
  const times = before.why === why ? before.times + 1 : 1;
  if (times > 3) return stay(NEW_VERSION);
  sessionStorage.setItem(key, JSON.stringify({ ...before, ...more, why, times }));
  // htmx keeps bodies of the old version for the way back; without them it asks the app.
  for (const storage of [localStorage, sessionStorage]) storage.removeItem("htmx-history-cache");
  location.reload();
};

const remembered = () => JSON.parse(sessionStorage.getItem(key) ?? "{}");

const stay = (why) => {
  if (stale !== why) console.warn(`portkeep dev: this page is not loaded again by itself: ${why}`);
  stale = why;
};

// A page whose making changes files that pages are made of would be loaded for ever: after so many times that the
// change came at once, in milliseconds after it was loaded and knew how things are, it is left as it is. How long it took
// to be told of the change does not count: a busy machine may take seconds for that.
const AT_ONCE = 2000;
const MOST_AT_ONCE = 5;
let settled = null;
const settle = () => {
  if (document.readyState === "complete") settled ??= performance.now();
};
addEventListener("load", () => shown && settle());

const reloadForFiles = (state) => {
  const isAtOnce = settled === null || performance.now() - state.filesAgo - settled < AT_ONCE;
  const atOnce = isAtOnce ? (remembered().atOnce ?? 0) + 1 : 1;
  if (atOnce > MOST_AT_ONCE) {
    return stay(`${state.files || "a file"} changes whenever this page is loaded: click to load it again`);
  }
  reload(state, `files ${state.assets} ${state.styles}`, { atOnce });
};

// ---- styles without a reload -----------------------------------------------------------------------------------------

// New links that are not loaded yet, by the links that they replace.
const coming = new Map();

const swapStyles = (state) => {
  for (const next of coming.values()) next.remove();
  coming.clear();
  const isOwn = (link) => !link.disabled && new URL(link.href, location.href).origin === location.origin;
  const links = [...document.querySelectorAll('link[rel~="stylesheet" i][href]')].filter(isOwn);
  // Styles in the page itself come with the page.
  if (links.length === 0 || document.querySelector("style")) return reloadForFiles(state);
  for (const link of links) {
    const href = new URL(link.href, location.href);
    href.searchParams.set("portkeep", state.styles);
    const next = link.cloneNode();
    next.href = href.href;
    coming.set(link, next);
    const ended = (then) => () => coming.get(link) === next && coming.delete(link) && then();
    // The old one stays until the new one is loaded: no flash of a page without style.
    next.addEventListener("load", ended(() => link.remove()), { once: true });
    // Its name may contain the hash of its contents: only the page knows the new name.
    next.addEventListener("error", ended(() => (next.remove(), reloadForFiles(state), show(state))), { once: true });
    link.after(next);
  }
};


// ---- what is shown ---------------------------------------------------------------------------------------------------

const element = (name, className, ...children) => {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
};

const host = document.createElement("portkeep-dev");
const shadow = host.attachShadow({ mode: "open" });
// Not a <style>: a page's policy may forbid it.
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
  if (stale && shown?.failure === null) return location.reload();
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
  root.classList.toggle("covers", !overlay.hidden);
  if (isNew && state.failure) fill(state.failure);
  footer.textContent = state.generation === null
    ? "Nothing serves now. This goes away at the next good build."
    : `Generation ${state.generation} serves on, and the page works. This goes away at the next good build.`;
  tick();
};

const doing = { building: "building", checking: "checking", starting: "starting" };
const tick = () => {
  if (!shown) return;
  const busy = shown.phase !== "idle";
  const seconds = ((Date.now() - shown.since) / 1000).toFixed(1);
  const what = shown.phase === "checking" ? ` ${shown.what}` : "";
  const rest = shown.failure?.title ?? stale;
  markText.textContent = busy ? `${doing[shown.phase]}${what} ${seconds} s` : rest ?? "";
  mark.classList.toggle("bad", !busy && shown.failure !== null);
  mark.classList.toggle("old", !busy && shown.failure === null);
  mark.hidden = !busy && (rest === null || !overlay.hidden);
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


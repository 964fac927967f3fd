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

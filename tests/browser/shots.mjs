// Pictures for the README: the building mark, the overlay and the holding page, light and dark, wide and narrow.
import fs from "node:fs";
import path from "node:path";

import { launch, mark, overlay } from "./chromium.mjs";
import { BUILD, Dev } from "./dev.mjs";

const directory = path.join(import.meta.dirname, "pictures");
fs.mkdirSync(directory, { recursive: true });
const dev = await Dev.serving();
const browser = await launch();
const pages = [];
for (const colorScheme of ["light", "dark"]) {
  for (const [width, height] of [[1280, 640], [400, 720]]) {
    const context = await browser.newContext({ colorScheme, viewport: { width, height } });
    const page = await context.newPage();
    await page.goto(dev.url);
    await page.waitForFunction(() => document.querySelector("portkeep-dev"));
    pages.push([`${colorScheme}-${width}`, page]);
  }
}
const all = (name, what) =>
  Promise.all(pages.map(async ([kind, page]) => {
    await what(page).waitFor({ timeout: BUILD });
    await page.screenshot({ path: path.join(directory, `${name}-${kind}.png`) });
  }));
try {
  dev.version("one", "two");
  await all("building", mark);
  await dev.said("generation 2 serves");
  dev.edit("src/main.rs", "// start\n", "let size: usize = \"three\";\n    let spare = missing(size);\n    // start\n");
  await all("overlay", overlay);
  dev.edit("src/main.rs", "let size: usize = \"three\";\n    let spare = missing(size);\n", "panic!(\"cannot connect to the database at 127.0.0.1:5432\");\n");
  for (const [, page] of pages) await page.locator("portkeep-dev h2", { hasText: "did not start" }).waitFor({ timeout: BUILD });
  await all("panic", overlay);
} finally {
  await browser.close();
  await dev.stop();
}

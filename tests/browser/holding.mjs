// While nothing serves yet: the page tells what is built and what failed, and becomes the app by itself.
import path from "node:path";

import { check, run } from "./cases.mjs";
import { launch, mark, overlay } from "./chromium.mjs";
import { BUILD, Dev, get, until } from "./dev.mjs";

const pictures = process.env.PICTURES;

await run([["holding: a first build that fails is shown, and the page becomes the app", async () => {
  const dev = await Dev.start([], {
    prepare: (dev) => dev.edit("src/main.rs", "// start", "missing!();"),
  });
  const browser = await launch();
  try {
    await dev.said("is open", 60_000);
    const page = await (await browser.newContext({ viewport: { width: 1280, height: 640 } })).newPage();
    const answer = await page.goto(dev.url, { timeout: BUILD });
    check(answer.status() === 503, `the status is ${answer.status()}`);
    await page.waitForFunction(() => document.querySelector("portkeep-dev"), null, { timeout: BUILD });
    if (await mark(page).isVisible()) {
      if (pictures) await page.screenshot({ path: path.join(pictures, "holding-building-light-1280.png") });
    }
    await overlay(page).waitFor({ timeout: 600_000 });
    check((await overlay(page).innerText()).includes("cannot find macro `missing`"), "the error");
    // Dismissed is dismissed: the page is not loaded anew before there is something to see.
    await page.keyboard.press("Escape");
    const loaded = await page.waitForEvent("load", { timeout: 7_000 }).then(() => true, () => false);
    check(!loaded && (await overlay(page).isHidden()), "it is loaded anew for nothing");
    await mark(page).click();
    if (pictures) {
      for (const [width, colorScheme] of [[1280, "light"], [1280, "dark"], [400, "light"], [400, "dark"]]) {
        await page.emulateMedia({ colorScheme });
        await page.setViewportSize({ width, height: 640 });
        await overlay(page).waitFor({ timeout: BUILD });
        await page.screenshot({ path: path.join(pictures, `holding-${colorScheme}-${width}.png`) });
      }
    }
    dev.edit("src/main.rs", "missing!();", "// start");
    await page.waitForFunction(() => document.querySelector("#version")?.textContent === "one", null, { timeout: BUILD });
    await until("no overlay", BUILD, async () => !(await overlay(page).isVisible()));
    check((await get(`${dev.url}/plain`)).status === 200, "it serves");
  } catch (error) {
    error.message += `\n--- it said:\n${dev.output.slice(-4000)}`;
    throw error;
  } finally {
    await browser.close();
    await dev.stop();
  }
}]]);

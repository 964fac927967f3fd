// Debian's Chromium, which asks nobody on the network for anything.
import { chromium } from "playwright-core";

const ARGUMENTS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];

export const launch = () =>
  chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", headless: true, args: ARGUMENTS });

// What our part of a page shows.
export const overlay = (page) => page.locator("portkeep-dev .overlay");
export const mark = (page) => page.locator("portkeep-dev .mark");

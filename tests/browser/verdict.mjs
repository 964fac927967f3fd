// Whether portkeep keeps its limits beside the watchers.

export const median = (all) => [...all].sort((a, b) => a - b)[Math.floor(all.length / 2)];
export const figures = (all) => `${median(all).toFixed(0)} ms (${Math.min(...all).toFixed(0)} to ${Math.max(...all).toFixed(0)})`;

// `tools` were measured in one run. Without a watcher among them, there is no ratio.
export function verdict(tools, limits) {
  const lines = [];
  const complaints = [];
  const watchers = tools.filter((tool) => tool.watcher);
  const best = Math.min(...watchers.map((tool) => median(tool.took)));
  for (const tool of tools.filter((tool) => !tool.watcher)) {
    const wait = Math.max(...tool.waited);
    if (watchers.length > 0) {
      const ratio = median(tool.took) / best;
      lines.push(`${tool.way}: ${ratio.toFixed(2)} times the best watcher (limit ${limits.ratio}), longest wait ${wait.toFixed(0)} ms (limit ${limits.wait})`);
      if (ratio > limits.ratio) complaints.push(`${tool.way} takes ${ratio.toFixed(2)} times as long as the best watcher, more than ${limits.ratio}`);
    }
    if (wait > limits.wait) complaints.push(`${tool.way} let a request wait for ${wait.toFixed(0)} ms, more than ${limits.wait}`);
    if (tool.failed + tool.givenUp > 0) complaints.push(`${tool.way} left ${tool.failed + tool.givenUp} requests without an answer`);
  }
  return { lines, complaints };
}

// Runs cases one after another, in the words and with the arguments of Rust's test runner, which the suites count:
// [PART OF A NAME…] or --exact NAME….
export async function run(cases) {
  const only = process.argv.slice(2).filter((word) => word !== "--exact");
  const exact = process.argv.includes("--exact");
  let failed = 0;
  for (const [name, body] of cases) {
    const meant = (part) => (exact ? name === part : name.includes(part));
    if (only.length > 0 && !only.some(meant)) continue;
    try {
      await body();
      console.log(`test ${name} ... ok`);
    } catch (error) {
      failed += 1;
      console.log(error.stack ?? error);
      console.log(`test ${name} ... FAILED`);
    }
  }
  process.exitCode = failed === 0 ? 0 : 1;
}

export function check(condition, what) {
  if (!condition) throw new Error(`not so: ${what}`);
}

export function same(found, expected, what) {
  const [a, b] = [JSON.stringify(found), JSON.stringify(expected)];
  if (a !== b) throw new Error(`${what}: ${a}, expected ${b}`);
}

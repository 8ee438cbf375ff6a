import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ProcessReaper } from './process.reaper.js';

const VITEST = fileURLToPath(new URL('../../node_modules/vitest/vitest.mjs', import.meta.url));

/** Titles of the tests that ran. */
export interface Verdict {
  readonly passed: readonly string[];
  readonly failed: readonly string[];
  /** How many passed in each file: its path, absolute. */
  readonly passedIn: ReadonlyMap<string, number>;
}

interface Assertion {
  readonly status: string;
  readonly fullName: string;
}

/** Runs specs in a vitest of their own, which does not outlive this process. @throws Error with its output if no test ran */
export async function runVitest(
  args: readonly string[],
  options: { cwd: string; env?: Record<string, string> },
): Promise<Verdict> {
  const directory = await mkdtemp(join(tmpdir(), 'tc-vitest-'));
  ProcessReaper.get().holdDirectory(directory);
  const file = join(directory, 'report.json');
  const output = await run(['run', ...args, '--reporter=json', `--outputFile=${file}`], options);
  const report = JSON.parse(await readFile(file, 'utf8').catch(() => '{}')) as {
    testResults?: Array<{ name: string; message: string; assertionResults: Assertion[] }>;
  };
  await rm(directory, { recursive: true });
  const { testResults = [] } = report;
  const told = testResults.flatMap(({ assertionResults }) => assertionResults);
  const titled = (wanted: string): string[] =>
    told.filter(({ status }) => status === wanted).map(({ fullName }) => fullName);
  const passedIn = new Map(
    testResults.map(({ name, assertionResults }) => [
      name,
      assertionResults.filter(({ status }) => status === 'passed').length,
    ]),
  );
  const verdict = { passed: titled('passed'), failed: titled('failed'), passedIn };
  if (verdict.passed.length + verdict.failed.length > 0) return verdict;
  throw new Error(`no test ran: ${testResults.map(({ message }) => message).join('\n')}\n${output}`);
}

async function run(args: string[], { cwd, env }: { cwd: string; env?: Record<string, string> }): Promise<string> {
  // Not as a worker of the run that it is started by.
  const own = Object.entries(process.env).filter(([name]) => !/^(VITEST|TC_TEST_REPORT|NODE_OPTIONS)/.test(name));
  const child = spawn(process.execPath, [VITEST, ...args], {
    cwd,
    env: { ...Object.fromEntries(own), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  ProcessReaper.get().hold(child.pid as number);
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  await new Promise((resolve, reject) => child.once('close', resolve).once('error', reject));
  ProcessReaper.get().release(child.pid as number);
  return output;
}

import { spawn } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compiledEntry } from '../servers/compiled.entry.js';
import { ProcessReaper } from '../servers/process.reaper.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
// What is broken may hang; the end of a test that failed may hang as well.
const IMPATIENT = ['--bail=1', '--testTimeout=15000', '--hookTimeout=5000'];
const COPIED = ['src', 'test', 'dist', 'package.json', 'tsconfig.json', 'vitest.config.ts'];

/** One text in one module that is to be another. */
export interface Mutation {
  /** Below src, without extension. */
  readonly module: string;
  /** Occurs once, and is written alike by the compiler. */
  readonly find: string;
  readonly replace: string;
}

/** What a spec said of a {@link Mutant}, by title. */
export interface Verdict {
  readonly passed: readonly string[];
  readonly failed: readonly string[];
}

/** A copy of this project in which something is broken, to see that the tests tell. */
export class Mutant {
  private constructor(private readonly directory: string) {}

  /** @throws Error if the mutation does not find exactly one place */
  static async make(mutation: Mutation): Promise<Mutant> {
    await compiledEntry();
    const directory = await mkdtemp(join(tmpdir(), 'tc-mutant-'));
    ProcessReaper.get().holdDirectory(directory);
    for (const name of COPIED) await cp(join(ROOT, name), join(directory, name), { recursive: true });
    await symlink(join(ROOT, 'node_modules'), join(directory, 'node_modules'));
    for (const file of [`src/${mutation.module}.ts`, `dist/${mutation.module}.js`])
      await mutate(join(directory, file), mutation);
    return new Mutant(directory);
  }

  /** Runs the tests of a spec whose titles contain `name`. @throws Error with the output if none of them ran */
  async test(spec: string, name: string): Promise<Verdict> {
    const report = join(this.directory, 'report.json');
    const pattern = name.replace(/[^\w ]/g, '\\$&') + '\\b';
    const args = ['run', spec, '-t', pattern, '--reporter=json', `--outputFile=${report}`, ...IMPATIENT];
    const output = await this.run([join(ROOT, 'node_modules/vitest/vitest.mjs'), ...args]);
    const text = await readFile(report, 'utf8').catch(() => '{}');
    const { testResults = [] } = JSON.parse(text) as { testResults?: Array<{ assertionResults: Assertion[] }> };
    const told = testResults.flatMap(({ assertionResults }) => assertionResults);
    const verdict = { passed: titled(told, 'passed'), failed: titled(told, 'failed') };
    if (verdict.passed.length + verdict.failed.length === 0) throw new Error(`no test ran:\n${output}\n${text}`);
    return verdict;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return rm(this.directory, { recursive: true, force: true });
  }

  private async run(args: string[]): Promise<string> {
    // Not as a worker of the run that it is started by; dist is what was copied.
    const own = Object.entries(process.env).filter(([name]) => !/^(VITEST|TC_TEST_REPORT|NODE_OPTIONS)/.test(name));
    const env = { ...Object.fromEntries(own), TC_DIST_BUILD: 'ok' };
    const child = spawn(process.execPath, args, {
      cwd: this.directory,
      env,
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
}

interface Assertion {
  readonly status: string;
  readonly fullName: string;
}

function titled(told: readonly Assertion[], wanted: string): string[] {
  return told.filter(({ status }) => status === wanted).map(({ fullName }) => fullName);
}

async function mutate(file: string, { find, replace }: Mutation): Promise<void> {
  const parts = (await readFile(file, 'utf8')).split(find);
  if (parts.length !== 2) throw new Error(`${file} has ${parts.length - 1} times, not once: ${find}`);
  await writeFile(file, parts.join(replace));
}

import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compiledEntry } from '../servers/compiled.entry.js';
import { ProcessReaper } from '../servers/process.reaper.js';
import { runVitest, type Verdict } from '../servers/vitest.process.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
// What is broken may hang; the end of a test that failed may hang as well.
const IMPATIENT = ['--bail=1', '--testTimeout=15000'];
// Projects do not heed `--hookTimeout`.
const IMPATIENT_HOOKS = { find: 'hookTimeout: 120_000', replace: 'hookTimeout: 20_000' };
const COPIED = ['src', 'test', 'dist', 'package.json', 'tsconfig.json', 'vitest.config.ts'];

/** One text in one module that is to be another. */
export interface Mutation {
  /** Below src, without extension. */
  readonly module: string;
  /** Occurs once, and is written alike by the compiler. */
  readonly find: string;
  readonly replace: string;
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
    await mutate(join(directory, 'vitest.config.ts'), IMPATIENT_HOOKS);
    return new Mutant(directory);
  }

  /** Runs the tests of a spec whose titles contain `name`. @throws Error with the output if none of them ran */
  async test(spec: string, name: string): Promise<Verdict> {
    const pattern = name.replace(/[^\w ]/g, '\\$&') + '\\b';
    // dist is what was copied.
    const env = { TC_DIST_BUILD: 'ok' };
    return runVitest([spec, '-t', pattern, ...IMPATIENT], { cwd: this.directory, env });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return rm(this.directory, { recursive: true, force: true });
  }
}

async function mutate(file: string, { find, replace }: Omit<Mutation, 'module'>): Promise<void> {
  const parts = (await readFile(file, 'utf8')).split(find);
  if (parts.length !== 2) throw new Error(`${file} has ${parts.length - 1} times, not once: ${find}`);
  await writeFile(file, parts.join(replace));
}

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withFileLock } from './file.lock.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const CACHE = join(ROOT, 'node_modules/.cache/nestjs-tiered-cache');
const STAMP = join(CACHE, 'dist.fingerprint');
const DIST = join(ROOT, 'dist');
const ENTRY = join(DIST, 'index.js');
// Workers of vitest inherit what the global setup has begun: one build in a test run, also when it failed. A copy of the project says that it
// brings its own.
const OUTCOME = 'TC_DIST_BUILD';
const UNDER_WAY = 'under way';

/**
 * The compiled package, for child processes; built from src first if it is out of date.
 * @throws Error with the compiler's messages when src does not compile
 */
export async function compiledEntry(): Promise<string> {
  const outcome = await buildOnce();
  if (outcome !== 'ok')
    throw new Error(`dist could not be built from src, so that no child process can run it:\n${outcome}`);
  return ENTRY;
}

/** Begins to build dist if src has changed, unless that was begun: specs that need it wait for it, others run meanwhile. */
export async function beginBuild(): Promise<void> {
  if (process.env[OUTCOME] !== undefined) return;
  process.env[OUTCOME] = UNDER_WAY;
  process.env[OUTCOME] = await build();
}

/** `ok`, or why dist cannot be built from what is in src. Resolves when another process has found out. */
async function buildOnce(): Promise<string> {
  const known = process.env[OUTCOME];
  if (known !== undefined && known !== UNDER_WAY) return known;
  return (process.env[OUTCOME] = await build());
}

async function build(): Promise<string> {
  await mkdir(CACHE, { recursive: true });
  return withFileLock(join(CACHE, 'dist.lock'), async () => {
    const wanted = await fingerprint();
    const [built, outcome] = (await readFile(STAMP, 'utf8').catch(() => '')).split('\0') as [string, string?];
    if (built === wanted && outcome !== undefined && (outcome !== 'ok' || existsSync(ENTRY))) return outcome;
    const found = (await compile()) ?? 'ok';
    await writeFile(STAMP, `${wanted}\0${found}`);
    return found;
  });
}

/**
 * The compiled samples in dist/sample, which find the package by its name. All at once, as they read the same types; what is up to date is
 * left as it is.
 * @throws Error with the compiler's messages
 */
export async function compiledSamples(): Promise<void> {
  await compiledEntry();
  const names = await readdir(join(ROOT, 'sample'));
  await withFileLock(join(CACHE, 'samples.lock'), async () => {
    const messages = await tsc(['-b', ...names.map((name) => join('sample', name))]);
    if (messages !== undefined) throw new Error(`the samples do not compile:\n${messages}`);
  });
}

/** Compiles aside and swaps the folder in, so that nobody ever imports half a build and deleted sources leave nothing behind. */
async function compile(): Promise<string | undefined> {
  const fresh = join(CACHE, `dist-${process.pid}`);
  const old = `${fresh}-old`;
  try {
    const messages = await tsc(['-p', 'tsconfig.build.json', '--outDir', fresh, '--noEmitOnError']);
    if (messages !== undefined) return messages;
    if (!existsSync(join(fresh, 'index.js'))) return 'src/index.ts does not exist';
    if (existsSync(DIST)) await rename(DIST, old);
    await rename(fresh, DIST);
    return undefined;
  } finally {
    for (const folder of [fresh, old]) await rm(folder, { recursive: true, force: true });
  }
}

/** Why it has failed. */
async function tsc(args: readonly string[]): Promise<string | undefined> {
  const command = [join(ROOT, 'node_modules/typescript/bin/tsc'), ...args];
  const child = spawn(process.execPath, command, { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  const code = await new Promise((resolve, reject) => child.once('close', resolve).once('error', reject));
  return code === 0 ? undefined : output.slice(0, 4000) || `tsc ended with ${String(code)}`;
}

/** Changes with any file that the build reads. */
async function fingerprint(): Promise<string> {
  const names = await readdir(join(ROOT, 'src'), { recursive: true });
  const inputs = names.filter((name) => name.endsWith('.ts')).map((name) => join('src', name));
  const hash = createHash('sha256');
  for (const name of [...inputs.sort(), 'tsconfig.json', 'tsconfig.build.json', 'package-lock.json']) {
    const { size, mtimeMs } = await stat(join(ROOT, name));
    hash.update(`${name}\0${size}\0${mtimeMs}\0`);
  }
  return hash.digest('hex');
}

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
// Workers of vitest inherit what the global setup found: one build in a test run, also when it failed. A copy of the project says that it
// brings its own.
const OUTCOME = 'TC_DIST_BUILD';

/**
 * The compiled package, for child processes; built from src first if it is out of date.
 * @throws Error with the compiler's messages when src does not compile
 */
export async function compiledEntry(): Promise<string> {
  await buildOnce();
  const outcome = process.env[OUTCOME];
  if (outcome !== 'ok')
    throw new Error(`dist could not be built from src, so that no child process can run it:\n${outcome}`);
  return ENTRY;
}

/** Builds dist if src has changed since and remembers the outcome for {@link compiledEntry}; never throws because of what is in src. */
export async function buildOnce(): Promise<void> {
  if (process.env[OUTCOME] !== undefined) return;
  await mkdir(CACHE, { recursive: true });
  const failure = await withFileLock(join(CACHE, 'dist.lock'), async () => {
    const wanted = await fingerprint();
    const built = await readFile(STAMP, 'utf8').catch(() => '');
    if (built === wanted && existsSync(ENTRY)) return undefined;
    const messages = await compile();
    if (messages === undefined) await writeFile(STAMP, wanted);
    return messages;
  });
  process.env[OUTCOME] = failure ?? 'ok';
}

/** Compiles aside and swaps the folder in, so that nobody ever imports half a build and deleted sources leave nothing behind. */
async function compile(): Promise<string | undefined> {
  const fresh = join(CACHE, `dist-${process.pid}`);
  const old = `${fresh}-old`;
  try {
    const args = [
      join(ROOT, 'node_modules/typescript/bin/tsc'),
      '-p',
      'tsconfig.build.json',
      '--outDir',
      fresh,
      '--noEmitOnError',
    ];
    const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
    const code = await new Promise((resolve, reject) => child.once('close', resolve).once('error', reject));
    if (code !== 0) return output.slice(0, 4000) || `tsc ended with ${String(code)}`;
    if (!existsSync(join(fresh, 'index.js'))) return 'src/index.ts does not exist';
    if (existsSync(DIST)) await rename(DIST, old);
    await rename(fresh, DIST);
    return undefined;
  } finally {
    for (const folder of [fresh, old]) await rm(folder, { recursive: true, force: true });
  }
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

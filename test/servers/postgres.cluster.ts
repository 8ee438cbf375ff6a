import { execFile, spawnSync } from 'node:child_process';
import { chownSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { PostgresBinary } from './postgres.binary.js';
import { ProcessReaper } from './process.reaper.js';

export const POSTGRES_USER = 'tester';
// Workers of vitest inherit where it is.
const TEMPLATE = 'TC_POSTGRES_TEMPLATE';

/** Data of a server that was never started, for {@link createCluster} to copy: once in a test run, since initdb takes ten times as long. */
export async function ensureClusterTemplate(binary: PostgresBinary): Promise<void> {
  if (process.env[TEMPLATE] !== undefined) return;
  const directory = await newDirectory('tc-postgres-template-');
  initialise(binary, directory);
  process.env[TEMPLATE] = directory;
}

/** A directory with the data of a new server; removed when this process ends. */
export async function createCluster(binary: PostgresBinary): Promise<string> {
  const directory = await newDirectory('tc-postgres-data-');
  const template = process.env[TEMPLATE];
  if (template === undefined) initialise(binary, directory);
  else await promisify(execFile)('cp', ['-a', `${template}/.`, directory]);
  return directory;
}

async function newDirectory(prefix: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), prefix));
  ProcessReaper.get().holdDirectory(directory);
  return directory;
}

function initialise({ bin, env, user }: PostgresBinary, directory: string): void {
  if (user) chownSync(directory, user.uid, user.gid);
  // Its log in small files: there is less to copy.
  const settings = ['-A', 'trust', '-E', 'UTF8', '--no-locale', '--no-sync', '--wal-segsize=1'];
  const args = ['-D', directory, '-U', POSTGRES_USER, ...settings];
  const { status, stderr, error } = spawnSync(join(bin, 'initdb'), args, {
    ...user,
    cwd: directory,
    env: { ...process.env, ...env, LC_ALL: 'C' },
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`initdb failed: ${error?.message ?? stderr.slice(-2000)}`);
}

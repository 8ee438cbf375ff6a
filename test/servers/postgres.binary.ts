import { spawnSync } from 'node:child_process';
import { existsSync, lstatSync, readdirSync, realpathSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { installPackages, unpackPackages } from './debian.packages.js';
import type { ServerProgram } from './server.process.js';

/** PostgreSQL's programs, and the user to run them as. */
export interface PostgresBinary {
  /** Folder of `postgres` and `initdb`. */
  bin: string;
  env: ServerProgram['env'];
  user: ServerProgram['user'];
}

const USER = process.getuid?.() ?? -1;
const UNPACKED = join(tmpdir(), `tc-postgres-${USER}`);
const DEBIAN = 'usr/lib/postgresql';

let found: PostgresBinary | undefined;

/**
 * The PostgreSQL named by `TC_POSTGRES` (its folder of programs), the one that is installed, else Debian's package, installed as root or
 * else unpacked into the temp directory.
 * @throws Error with what to install when none of this works
 */
export function ensurePostgresBinary(): PostgresBinary {
  found ??= find();
  if (found) return found;
  const log: string[] = [];
  if (process.platform === 'linux') {
    if (USER === 0) installPackages(log, ['postgresql']);
    found = find();
    if (!found)
      unpackPackages(log, { name: 'postgresql', take: /^postgresql(-client)?-\d+$/, proof: DEBIAN, into: UNPACKED });
    found ??= find();
  }
  if (found) return found;
  throw new Error(
    'The tests need a real PostgreSQL (13 or newer) and none could be found or installed.\n' +
      'Install it (Debian/Ubuntu: apt-get install postgresql; Alpine: apk add postgresql; macOS: brew install postgresql)\n' +
      `or name the folder of its programs in TC_POSTGRES.\n${log.join('\n')}`,
  );
}

function find(): PostgresBinary | undefined {
  const user = unprivilegedUser();
  for (const folder of folders()) {
    const env: Record<string, string> = folder.startsWith(UNPACKED) ? { LD_LIBRARY_PATH: unpackedLibraries() } : {};
    const runs = (name: string): boolean =>
      spawnSync(join(folder, name), ['--version'], { ...user, env: { ...process.env, ...env } }).status === 0;
    if (runs('postgres') && runs('initdb')) return { bin: folder, env, user };
  }
  return undefined;
}

function folders(): string[] {
  const named = process.env['TC_POSTGRES'];
  if (named) return [named];
  // initdb looks for postgres beside itself, and distributions link only some of the programs into the PATH.
  const onPath = (process.env['PATH'] ?? '')
    .split(delimiter)
    .concat('/usr/local/bin', '/opt/homebrew/bin')
    .map((folder) => join(folder, 'postgres'))
    .filter((path) => existsSync(path))
    .map((path) => dirname(realpathSync(path)));
  const roots = ['/', ...(ownsUnpacked() ? [UNPACKED] : [])].map((root) => join(root, DEBIAN));
  const versions = roots.flatMap((root) =>
    (existsSync(root) ? readdirSync(root) : [])
      .sort((a, b) => Number(b) - Number(a))
      .map((version) => join(root, version, 'bin')),
  );
  return [...new Set([...onPath, ...versions])];
}

/** PostgreSQL refuses to run as root: then as `postgres`, or as `nobody`. */
function unprivilegedUser(): PostgresBinary['user'] {
  if (USER !== 0) return undefined;
  for (const name of ['postgres', 'nobody']) {
    const [uid, gid] = ['-u', '-g'].map((flag) => spawnSync('id', [flag, name], { encoding: 'utf8' }).stdout?.trim());
    if (uid && gid) return { uid: Number(uid), gid: Number(gid) };
  }
  return undefined;
}

/** The temp directory is everybody's: what somebody else put there under our name must not be run. */
function ownsUnpacked(): boolean {
  const stat = lstatSync(UNPACKED, { throwIfNoEntry: false });
  return stat !== undefined && stat.isDirectory() && stat.uid === USER;
}

function unpackedLibraries(): string {
  const parents = ['lib', 'usr/lib'].map((folder) => join(UNPACKED, folder)).filter((folder) => existsSync(folder));
  return parents.flatMap((folder) => [folder, ...readdirSync(folder).map((name) => join(folder, name))]).join(':');
}

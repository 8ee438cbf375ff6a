import { spawnSync } from 'node:child_process';
import { existsSync, lstatSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

/** A redis-server that runs on this machine. */
export interface RedisBinary {
  path: string;
  /** Major version, e.g. 7. */
  major: number;
  /** What its process needs besides the usual environment. */
  env: Record<string, string>;
}

// Not userInfo(): a container may run as a user id without a name.
const USER = process.getuid?.() ?? -1;

/** Where packages are unpacked when they cannot be installed. Only ever trusted when it belongs to the current user. */
export const UNPACKED = join(tmpdir(), `tc-redis-server-${USER}`);

let found: RedisBinary | undefined;

/** The server named by `TC_REDIS_SERVER`, the one on the PATH or the unpacked one, in this order; `undefined` without any that runs. */
export function findRedisBinary(): RedisBinary | undefined {
  return (found ??= candidates()
    .map(probe)
    .find((binary) => binary !== undefined));
}

function candidates(): string[] {
  const named = process.env['TC_REDIS_SERVER'];
  const folders = (process.env['PATH'] ?? '')
    .split(delimiter)
    .concat('/usr/bin', '/usr/local/bin', '/opt/homebrew/bin');
  const installed = [...new Set(folders)]
    .map((folder) => join(folder, 'redis-server'))
    .filter((path) => existsSync(path));
  const unpacked = ownsUnpacked() ? [join(UNPACKED, 'usr/bin/redis-server')] : [];
  return [...(named ? [named] : []), ...installed, ...unpacked];
}

function probe(path: string): RedisBinary | undefined {
  const libraries = path.startsWith(UNPACKED) ? unpackedLibraries() : [];
  const env: Record<string, string> = libraries.length > 0 ? { LD_LIBRARY_PATH: libraries.join(':') } : {};
  const { stdout } = spawnSync(path, ['--version'], { encoding: 'utf8', env: { ...process.env, ...env } });
  const major = /v=(\d+)\./.exec(stdout ?? '')?.[1];
  return major === undefined ? undefined : { path, major: Number(major), env };
}

/** The temp directory is everybody's: what somebody else put there under our name must not be run. */
function ownsUnpacked(): boolean {
  const stat = lstatSync(UNPACKED, { throwIfNoEntry: false });
  return stat !== undefined && stat.isDirectory() && stat.uid === USER;
}

/** `usr/lib/<triplet>` and the like. */
function unpackedLibraries(): string[] {
  return ['lib', 'usr/lib']
    .map((folder) => join(UNPACKED, folder))
    .filter((folder) => existsSync(folder))
    .flatMap((folder) => [folder, ...readdirSync(folder).map((name) => join(folder, name))])
    .filter((folder) => lstatSync(folder).isDirectory());
}

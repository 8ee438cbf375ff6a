import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { ownsFolder, unpackedLibraries } from './unpacked.folder.js';

/** A redis-server that runs on this machine. */
export interface RedisBinary {
  path: string;
  /** Major version, e.g. 7. */
  major: number;
  /** What its process needs besides the usual environment. */
  env: Record<string, string>;
}

/** Where packages are unpacked when they cannot be installed. Only ever trusted when it belongs to the current user. */
export const UNPACKED = join(tmpdir(), `tc-redis-server-${process.getuid?.() ?? -1}`);

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
  const unpacked = ownsFolder(UNPACKED) ? [join(UNPACKED, 'usr/bin/redis-server')] : [];
  return [...(named ? [named] : []), ...installed, ...unpacked];
}

function probe(path: string): RedisBinary | undefined {
  const libraries = path.startsWith(UNPACKED) ? unpackedLibraries(UNPACKED) : [];
  const env: Record<string, string> = libraries.length > 0 ? { LD_LIBRARY_PATH: libraries.join(':') } : {};
  const { stdout } = spawnSync(path, ['--version'], { encoding: 'utf8', env: { ...process.env, ...env } });
  const major = /v=(\d+)\./.exec(stdout ?? '')?.[1];
  return major === undefined ? undefined : { path, major: Number(major), env };
}

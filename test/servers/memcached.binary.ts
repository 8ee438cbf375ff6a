import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { installPackages, unpackPackages } from './debian.packages.js';
import type { ServerProgram } from './server.process.js';
import { ownsFolder, unpackedLibraries } from './unpacked.folder.js';

/** Where the package is unpacked when it cannot be installed. */
const UNPACKED = join(tmpdir(), `tc-memcached-${process.getuid?.() ?? -1}`);

let found: ServerProgram | undefined;

/** The memcached (1.6 or newer) named by `TC_MEMCACHED`, the one on the PATH or the unpacked one; `undefined` without any that runs. */
export function findMemcachedBinary(): ServerProgram | undefined {
  return (found ??= candidates()
    .map(probe)
    .find((program) => program !== undefined));
}

/**
 * Makes sure that this machine has a memcached: the one that is there, else Debian's package, installed as root or else unpacked into
 * the temp directory.
 * @throws Error with what to install when neither works
 */
export function ensureMemcachedBinary(): ServerProgram {
  const present = findMemcachedBinary();
  if (present) return present;
  const log: string[] = [];
  if (process.platform === 'linux') {
    if (process.getuid?.() === 0) installPackages(log, ['memcached']);
    const installed = findMemcachedBinary();
    if (installed) return installed;
    unpackPackages(log, { name: 'memcached', take: /^$/, proof: 'usr/bin/memcached', into: UNPACKED });
  }
  const program = findMemcachedBinary();
  if (program) return program;
  throw new Error(
    'The tests need a real memcached (1.6 or newer) and none could be found or installed.\n' +
      'Install it (Debian/Ubuntu: apt-get install memcached; Alpine: apk add memcached; macOS: brew install memcached)\n' +
      `or name its path in TC_MEMCACHED.\n${log.join('\n')}`,
  );
}

function candidates(): string[] {
  const named = process.env['TC_MEMCACHED'];
  const folders = (process.env['PATH'] ?? '')
    .split(delimiter)
    .concat('/usr/bin', '/usr/local/bin', '/opt/homebrew/bin');
  const installed = [...new Set(folders)].map((folder) => join(folder, 'memcached')).filter((path) => existsSync(path));
  const unpacked = ownsFolder(UNPACKED) ? [join(UNPACKED, 'usr/bin/memcached')] : [];
  return [...(named ? [named] : []), ...installed, ...unpacked];
}

function probe(path: string): ServerProgram | undefined {
  const libraries = path.startsWith(UNPACKED) ? unpackedLibraries(UNPACKED) : [];
  const env: Record<string, string> = libraries.length > 0 ? { LD_LIBRARY_PATH: libraries.join(':') } : {};
  const { stdout } = spawnSync(path, ['-V'], { encoding: 'utf8', env: { ...process.env, ...env } });
  const [, major, minor] = /memcached (\d+)\.(\d+)/.exec(stdout ?? '') ?? [];
  return Number(major) > 1 || (major === '1' && Number(minor) >= 6) ? { path, env } : undefined;
}

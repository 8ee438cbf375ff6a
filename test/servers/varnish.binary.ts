import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { installPackages } from './debian.packages.js';
import type { ServerProgram } from './server.process.js';

let found: ServerProgram | undefined;

/**
 * The varnishd named by `TC_VARNISHD`, the one on the PATH, else Debian's package, installed as root. It is not unpacked for others: its
 * configuration is compiled, by a C compiler that would have to come along.
 * @throws Error with what to install when none of this works
 */
export function ensureVarnishBinary(): ServerProgram {
  found ??= find();
  if (found) return found;
  const log: string[] = [];
  if (process.platform === 'linux' && process.getuid?.() === 0) installPackages(log, ['varnish', 'gcc', 'libc6-dev']);
  found = find();
  if (found) return found;
  throw new Error(
    'The tests need a real varnishd (6 or newer) and none could be found or installed.\n' +
      'Install it (Debian/Ubuntu: apt-get install varnish; Alpine: apk add varnish; macOS: brew install varnish)\n' +
      `or name its path in TC_VARNISHD.\n${log.join('\n')}`,
  );
}

function find(): ServerProgram | undefined {
  const named = process.env['TC_VARNISHD'];
  const folders = (process.env['PATH'] ?? '').split(delimiter).concat('/usr/sbin', '/usr/local/sbin');
  const paths = named ? [named] : folders.map((folder) => join(folder, 'varnishd')).filter((path) => existsSync(path));
  const path = paths.find((candidate) => spawnSync(candidate, ['-V']).status === 0);
  return path === undefined ? undefined : { path, env: {} };
}

import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { findRedisBinary, UNPACKED } from './redis.binary.js';
import type { RedisBinary } from './redis.binary.js';

const POLICY = '/usr/sbin/policy-rc.d';

/**
 * Makes sure that this machine has a redis-server: the one that is there, else Debian's package, installed as root or else unpacked into
 * the temp directory.
 * @throws Error with what to install when neither works. Never skipped: a run without its server would prove nothing.
 */
export function ensureRedisBinary(): RedisBinary {
  const present = findRedisBinary();
  if (present) return present;
  const log: string[] = [];
  if (process.platform === 'linux') {
    if (process.getuid?.() === 0) install(log);
    const installed = findRedisBinary();
    if (installed) return installed;
    unpack(log);
  }
  const binary = findRedisBinary();
  if (binary) return binary;
  throw new Error(
    'The tests need a real redis-server (6 or newer) and none could be found or installed.\n' +
      'Install it (Debian/Ubuntu: apt-get install redis-server; Alpine: apk add redis; macOS: brew install redis)\n' +
      `or name its path in TC_REDIS_SERVER.\n${log.join('\n')}`,
  );
}

function install(log: string[]): void {
  // Without a policy the package would start its own server on port 6379.
  const ownPolicy = existsSync(dirname(POLICY)) && !existsSync(POLICY);
  if (ownPolicy) {
    writeFileSync(POLICY, '#!/bin/sh\nexit 101\n');
    chmodSync(POLICY, 0o755);
  }
  try {
    // A concurrent run may hold the package lists; its update serves as well, so that a failure here decides nothing.
    run(log, 'apt-get', ['update']);
    run(log, 'apt-get', ['-o', 'DPkg::Lock::Timeout=120', 'install', '-y', '--no-install-recommends', 'redis-server']);
  } finally {
    if (ownPolicy) rmSync(POLICY, { force: true });
  }
}

function unpack(log: string[]): void {
  const work = mkdtempSync(`${UNPACKED}-`);
  try {
    const root = join(work, 'root');
    for (const folder of ['root', 'lists/partial', 'cache/archives/partial', 'debs'])
      mkdirSync(join(work, folder), { recursive: true });
    const own = ['-o', `Dir::State::Lists=${join(work, 'lists')}`, '-o', `Dir::Cache=${join(work, 'cache')}`];
    run(log, 'apt-get', [...own, 'update']);
    const depends = run(log, 'apt-cache', [...own, 'depends', 'redis-server', 'redis-tools']) ?? '';
    const libraries = [...depends.matchAll(/Depends: (lib[\w.+-]+)/g)].map((match) => match[1] ?? '');
    const packages = ['redis-server', 'redis-tools', ...new Set(libraries.filter((name) => !/^libc\d/.test(name)))];
    run(log, 'apt-get', [...own, 'download', ...packages], join(work, 'debs'));
    for (const name of readdirSync(join(work, 'debs'))) run(log, 'dpkg-deb', ['-x', join(work, 'debs', name), root]);
    if (!existsSync(join(root, 'usr/bin/redis-server'))) return;
    rmSync(UNPACKED, { recursive: true, force: true });
    renameSync(root, UNPACKED);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function run(log: string[], command: string, args: string[], cwd = '/'): string | undefined {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' };
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, env, encoding: 'utf8', timeout: 300_000 });
  if (status === 0) return stdout;
  log.push(`${command} ${args.join(' ')}: ${error?.message ?? stderr.trim().slice(-1000)}`);
  return undefined;
}

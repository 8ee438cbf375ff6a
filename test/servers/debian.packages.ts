import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const POLICY = '/usr/sbin/policy-rc.d';

/** Installs Debian packages as root, without starting what they bring. What goes wrong is appended to `log`. */
export function installPackages(log: string[], packages: readonly string[]): void {
  // Without a policy a server's package would start its own on the usual port.
  const ownPolicy = existsSync(dirname(POLICY)) && !existsSync(POLICY);
  if (ownPolicy) {
    writeFileSync(POLICY, '#!/bin/sh\nexit 101\n');
    chmodSync(POLICY, 0o755);
  }
  try {
    // A concurrent run may hold the package lists; its update serves as well, so that a failure here decides nothing.
    run(log, 'apt-get', ['update']);
    run(log, 'apt-get', ['-o', 'DPkg::Lock::Timeout=120', 'install', '-y', '--no-install-recommends', ...packages]);
  } finally {
    if (ownPolicy) rmSync(POLICY, { force: true });
  }
}

/** What to unpack where; see {@link unpackPackages}. */
export interface Unpacking {
  name: string;
  /** Which of the packages it depends on come along, besides the libraries that are not installed. */
  take: RegExp;
  /** A file without which it was in vain. */
  proof: string;
  /** Replaced as a whole. */
  into: string;
}

/** Unpacks Debian packages into a folder, for who may not install them. What goes wrong is appended to `log`. */
export function unpackPackages(log: string[], { name, take, proof, into }: Unpacking): void {
  const work = mkdtempSync(`${into}-`);
  try {
    const root = join(work, 'root');
    for (const folder of ['root', 'lists/partial', 'cache/archives/partial', 'debs'])
      mkdirSync(join(work, folder), { recursive: true });
    const own = ['-o', `Dir::State::Lists=${join(work, 'lists')}`, '-o', `Dir::Cache=${join(work, 'cache')}`];
    run(log, 'apt-get', [...own, 'update']);
    const packages = [name, ...companions(log, own, name, take)];
    run(log, 'apt-get', [...own, 'download', ...packages], join(work, 'debs'));
    for (const file of readdirSync(join(work, 'debs'))) run(log, 'dpkg-deb', ['-x', join(work, 'debs', file), root]);
    if (!existsSync(join(root, proof))) return;
    rmSync(into, { recursive: true, force: true });
    renameSync(root, into);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Standard output of a command; `undefined`, and a line in `log`, if it failed. */
export function run(log: string[], command: string, args: readonly string[], cwd = '/'): string | undefined {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' };
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, env, encoding: 'utf8', timeout: 300_000 });
  if (status === 0) return stdout;
  log.push(`${command} ${args.join(' ')}: ${error?.message ?? stderr.trim().slice(-1000)}`);
  return undefined;
}

function companions(log: string[], own: readonly string[], name: string, take: RegExp): string[] {
  const kinds = ['recommends', 'suggests', 'conflicts', 'breaks', 'replaces', 'enhances'].map((kind) => `--no-${kind}`);
  const depends = run(log, 'apt-cache', [...own, 'depends', '--recurse', ...kinds, name]) ?? '';
  const installed = run(log, 'dpkg-query', ['-W', '-f', '${db:Status-Abbrev}${Package}\n']) ?? '';
  const present = new Set([...installed.matchAll(/^ii +(\S+)$/gm)].map((match) => match[1]));
  const names = [...depends.matchAll(/^([a-z][\w.+-]+)$/gm)].map((match) => match[1] as string);
  return [...new Set(names)].filter((one) => take.test(one) || (/^lib(?!c\d)/.test(one) && !present.has(one)));
}

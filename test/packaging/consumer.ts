import { execFileSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ProcessReaper } from '../servers/process.reaper.js';

/** A folder with these packages installed, as a user has them; removed when this process ends. */
export function installedConsumer(name: string, packages: (directory: string) => readonly string[]): string {
  const directory = mkdtempSync(join(tmpdir(), `tc-${name}-`));
  ProcessReaper.get().holdDirectory(directory);
  writeFileSync(join(directory, 'package.json'), '{ "name": "consumer", "private": true }');
  const flags = ['--no-audit', '--no-fund', '--prefer-offline'];
  execFileSync('npm', ['install', ...flags, ...packages(directory)], { cwd: directory, stdio: 'ignore' });
  return directory;
}

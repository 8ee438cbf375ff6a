import { execFile } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { compiledEntry } from '../servers/compiled.entry.js';
import { ProcessReaper } from '../servers/process.reaper.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const run = promisify(execFile);

/** A folder with these packages installed, as a user has them; removed when this process ends. */
export async function installedConsumer(name: string, packages: readonly string[]): Promise<string> {
  const directory = newDirectory(name);
  writeFileSync(join(directory, 'package.json'), '{ "name": "consumer", "private": true }');
  await run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', ...packages], { cwd: directory });
  return directory;
}

/** The archive that would be published. */
export async function packedPackage(): Promise<string> {
  await compiledEntry();
  const directory = newDirectory('packed');
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', directory];
  const { stdout } = await run('npm', args, { cwd: ROOT });
  const [packed] = JSON.parse(stdout) as [{ filename: string }];
  return join(directory, packed.filename);
}

function newDirectory(name: string): string {
  const directory = mkdtempSync(join(tmpdir(), `tc-${name}-`));
  ProcessReaper.get().holdDirectory(directory);
  return directory;
}

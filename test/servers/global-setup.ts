import { readFile } from 'node:fs/promises';
import type { TestProject } from 'vitest/node';
import { buildOnce } from './compiled.entry.js';
import { ensureRedisBinary } from './redis.install.js';

/** Before the first test: a real redis-server, and dist if this run has a spec that starts child processes with it. */
export default async function setup(project: TestProject): Promise<void> {
  process.env['TC_REDIS_SERVER'] = ensureRedisBinary().path;
  if (await needsDist(project)) await buildOnce();
}

// Compiling takes seconds: `vitest run test/core` should not wait for it. compiledEntry() builds what this overlooks.
async function needsDist(project: TestProject): Promise<boolean> {
  const { filenamePattern } = project.vitest as { filenamePattern?: string[] };
  const { testFiles } = await project.globTestFiles(filenamePattern);
  const texts = await Promise.all(testFiles.map((path) => readFile(path, 'utf8')));
  return texts.some((text) => text.includes('compiledEntry'));
}

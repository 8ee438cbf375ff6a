import { readFile } from 'node:fs/promises';
import type { TestProject } from 'vitest/node';
import { buildOnce } from './compiled.entry.js';
import { ensureMemcachedBinary } from './memcached.binary.js';
import { ensurePostgresBinary } from './postgres.binary.js';
import { ensureRedisBinary } from './redis.install.js';
import { ensureVarnishBinary } from './varnish.binary.js';

/** Before the first test: a real redis-server, and dist, PostgreSQL and the like if this run has a spec that needs them. */
export default async function setup(project: TestProject): Promise<void> {
  process.env['TC_REDIS_SERVER'] = ensureRedisBinary().path;
  const texts = await specs(project);
  if (texts.some((text) => text.includes('PostgresServer'))) ensurePostgresBinary();
  if (texts.some((text) => text.includes('MemcachedServer'))) ensureMemcachedBinary();
  if (texts.some((text) => text.includes('VarnishServer'))) ensureVarnishBinary();
  if (texts.some((text) => text.includes('compiledEntry'))) await buildOnce();
}

// Compiling and installing take seconds: `vitest run test/core` should not wait for it. What this overlooks is made up for on first use.
async function specs(project: TestProject): Promise<string[]> {
  const { filenamePattern } = project.vitest as { filenamePattern?: string[] };
  const { testFiles } = await project.globTestFiles(filenamePattern);
  return Promise.all(testFiles.map((path) => readFile(path, 'utf8')));
}

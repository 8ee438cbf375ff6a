import { readFile } from 'node:fs/promises';
import type { TestProject } from 'vitest/node';
import { beginBuild } from './compiled.entry.js';
import { ensureMemcachedBinary } from './memcached.binary.js';
import { ensurePostgresBinary } from './postgres.binary.js';
import { ensureClusterTemplate } from './postgres.cluster.js';
import { ensureRedisBinary } from './redis.install.js';
import { ensureVarnishBinary } from './varnish.binary.js';

/** In a run of so many specs of a project, those that need dist come late, or wait for it in hooks, which may take long. */
const MANY = 20;
const BUILDS = /compiled(Entry|Samples)|packedPackage/;

/** Before the first test: a real redis-server, and dist, PostgreSQL and the like if this run has a spec that needs them. */
export default async function setup(project: TestProject): Promise<() => Promise<unknown>> {
  process.env['TC_REDIS_SERVER'] = ensureRedisBinary().path;
  const texts = await specs(project);
  const built = texts.some((text) => BUILDS.test(text)) ? beginBuild() : undefined;
  if (texts.some((text) => text.includes('PostgresServer'))) await ensureClusterTemplate(ensurePostgresBinary());
  if (texts.some((text) => text.includes('MemcachedServer'))) ensureMemcachedBinary();
  if (texts.some((text) => text.includes('VarnishServer'))) ensureVarnishBinary();
  if (texts.length < MANY) await built;
  return async () => built;
}

// Compiling and installing take seconds: `vitest run test/core` should not wait for it. What this overlooks is made up for on first use.
async function specs(project: TestProject): Promise<string[]> {
  const { filenamePattern } = project.vitest as { filenamePattern?: string[] };
  const { testFiles } = await project.globTestFiles(filenamePattern);
  return Promise.all(testFiles.map((path) => readFile(path, 'utf8')));
}

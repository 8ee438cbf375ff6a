import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { runVitest, type Verdict } from '../servers/vitest.process.js';
import { installedConsumer } from './consumer.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const PACKAGES = [
  ...['common', 'core', 'testing', 'platform-express', 'platform-fastify'].map((name) => `@nestjs/${name}@11`),
  ...['microservices', 'websockets', 'platform-ws'].map((name) => `@nestjs/${name}@11`),
  '@nestjs/config@4',
  '@nestjs/graphql@13',
  '@nestjs/mercurius@13',
  'mercurius@16',
  'graphql@16',
  'rxjs@7',
  'reflect-metadata@0.2',
];

/** What runs on it, and at least how many tests of each. */
const SPECS = [
  ['4.14 #1 and what else is answered', 'test/locks/nest/cache-lock.http.spec.ts', 50],
  ['4.14 #2 endings of a request', 'test/locks/nest/endings.http.spec.ts', 38],
  ['4.14 #2 endings of a message', 'test/locks/nest/messages.spec.ts', 45],
  ['hits that the guard sends', 'test/http/guard-answer.spec.ts', 20],
  ['who has a request tier', 'test/nest/request-tier.readers.spec.ts', 80],
  ['the request tier', 'test/nest/request-tier.http.spec.ts', 20],
  ['whose pages are whose', 'test/http/routes.spec.ts', 8],
  ['and values of resolvers', 'test/http/resolvers.spec.ts', 2],
  ['and of functions', 'test/functions/cached.objects.spec.ts', 9],
] as const;

describe('on Nest 11', () => {
  let verdict: Verdict;
  beforeAll(async () => {
    const env = { TC_NEST_HOME: await installedConsumer('nest11-specs', PACKAGES) };
    // In one run: they compile the same sources.
    const args = [...SPECS.map(([, spec]) => spec), '--config=test/packaging/nest-11.config.ts'];
    verdict = await runVitest(args, { cwd: ROOT, env });
  }, 300_000);

  it.each(SPECS)('%s', (_what, spec, count) => {
    expect(verdict.failed).toEqual([]);
    expect(verdict.passedIn.get(join(ROOT, spec))).toBeGreaterThanOrEqual(count);
  });
});

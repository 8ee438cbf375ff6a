import { defineConfig } from 'vitest/config';
import { LongestFirst } from './test/servers/longest-first.sequencer.js';

const report = process.env['TC_TEST_REPORT'];

/**
 * Tests whose bounds are tens of milliseconds, or which load every core: one file at a time. What only waits, for leases, signals and
 * processes, waits beside others.
 */
const alone = [
  'test/faults/{b2,coherence,must-show,outage}.spec.ts',
  'test/functions/{cold-cache.load,timeouts,upstream-down}.spec.ts',
  'test/locks/{processes,hand-over}.spec.ts',
  'test/processes/{cold-fleet,lifecycle,one-computation}.spec.ts',
  'test/servers/{fault.proxy,harness}.spec.ts',
  'test/stores/redis.{coherence,connection,locks}.spec.ts',
];

/**
 * Short ones that start and signal nothing but servers of their own: they take turns in a few processes, where to load Nest and the drivers
 * would take longer than they do.
 */
const inTurns = [
  'test/{conformance,http-semantics,invalidation,stores}/**/*.spec.ts',
  'test/core/!(memory-limits).spec.ts',
  'test/functions/!(failing-policies).spec.ts',
  // Those of contexts begin where nobody has wrapped the methods of AsyncLocalStorage.
  'test/http/**/!(contexts|isolation|storage-watch).spec.ts',
  'test/locks/!(faults.*|processes*|random-schedule).spec.ts',
  'test/locks/nest/*.spec.ts',
  'test/nest/!(sample-*|shutdown).spec.ts',
];
// One more than the cores of the smallest machine that it is run on: a third of them wait.
const BESIDE = { maxWorkers: 3, sequence: { groupOrder: 0 } };

export default defineConfig({
  test: {
    // A process per file, unless it is said otherwise: tests share nothing.
    pool: 'forks',
    testTimeout: 30_000,
    hookTimeout: 120_000,
    sequence: { sequencer: LongestFirst },
    globalSetup: ['test/servers/global-setup.ts'],
    reporters: report ? ['default', ['json', { outputFile: report }]] : ['default'],
    projects: [
      {
        extends: true,
        test: {
          name: 'together',
          include: ['test/**/*.spec.ts'],
          // Mutants are no tests of the package but of its tests: `npm run test:mutants`.
          exclude: [...alone, ...inTurns, 'test/mutants/**'],
          ...BESIDE,
        },
      },
      {
        extends: true,
        test: {
          name: 'in turns',
          include: inTurns,
          exclude: alone,
          isolate: false,
          setupFiles: ['test/servers/new-modules.setup.ts'],
          ...BESIDE,
        },
      },
      {
        extends: true,
        test: { name: 'alone', include: alone, maxWorkers: 1, sequence: { groupOrder: 1 } },
      },
    ],
  },
});

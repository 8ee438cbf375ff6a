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
  'test/stores/redis.*.spec.ts',
];

export default defineConfig({
  test: {
    // A process per file: tests share nothing.
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
          exclude: [...alone, 'test/mutants/**'],
          // One more than the cores of the smallest machine that it is run on: a third of them wait.
          maxWorkers: 3,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: { name: 'alone', include: alone, maxWorkers: 1, sequence: { groupOrder: 1 } },
      },
    ],
  },
});

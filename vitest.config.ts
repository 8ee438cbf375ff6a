import { defineConfig } from 'vitest/config';

const report = process.env['TC_TEST_REPORT'];

/** Tests of time, signals, outages and many processes: one file at a time, so that the servers and workers they start have a core. */
const alone = [
  'test/faults/**/*.spec.ts',
  'test/functions/{cold-cache.load,timeouts,upstream-down}.spec.ts',
  'test/http/{clients,page}.spec.ts',
  'test/locks/**/*.spec.ts',
  'test/nest/shutdown.spec.ts',
  'test/processes/{cold-fleet,lifecycle,one-computation,outbox-crash}.spec.ts',
  'test/servers/**/*.spec.ts',
  'test/stores/**/*.spec.ts',
];

export default defineConfig({
  test: {
    // A process per file: tests share nothing.
    pool: 'forks',
    testTimeout: 30_000,
    hookTimeout: 120_000,
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
          maxWorkers: 2,
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

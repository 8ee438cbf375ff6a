import { defineConfig } from 'vitest/config';

const report = process.env['TC_TEST_REPORT'];

export default defineConfig({
  test: {
    include: ['test/**/*.spec.ts'],
    // Not a test of the package but of its tests: `npm run test:mutants`.
    exclude: ['test/mutants/**'],
    // A process per file, one at a time: tests of time, signals and unhandled rejections share nothing, and on two cores the servers and
    // worker processes they start have the other core.
    pool: 'forks',
    maxWorkers: 1,
    testTimeout: 30_000,
    hookTimeout: 120_000,
    globalSetup: ['test/servers/global-setup.ts'],
    reporters: report ? ['default', ['json', { outputFile: report }]] : ['default'],
  },
});

import { defineConfig } from 'vitest/config';

// One module registry for all files (isolate: false) keeps the suite fast; tests own their servers and key prefixes.
export default defineConfig({
  test: {
    include: ['test/**/*.spec.ts'],
    pool: 'forks',
    testTimeout: 30_000,
    hookTimeout: 120_000,
    maxWorkers: 2,
    globalSetup: ['test/servers/global-setup.ts'],
  },
});

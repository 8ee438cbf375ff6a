import { defineConfig } from 'vitest/config';

/** Breaks what the tests are for and runs them: minutes, and on copies of the project. `npm run test:mutants`. */
export default defineConfig({
  test: {
    include: ['test/mutants/**/*.spec.ts'],
    pool: 'forks',
    testTimeout: 120_000,
    globalSetup: ['test/servers/global-setup.ts'],
  },
});

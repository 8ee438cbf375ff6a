import { createRequire } from 'node:module';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

/** The folder where Nest 11 is installed. */
const home = createRequire(join(process.env['TC_NEST_HOME'] as string, 'index.js'));

/** Runs any spec, and src, on Nest 11 in place of the Nest that is installed here. */
export default defineConfig({
  plugins: [
    {
      name: 'nest-11',
      enforce: 'pre',
      resolveId: (source) =>
        /^(@nestjs\/|rxjs(\/|$)|reflect-metadata$)/.test(source) ? home.resolve(source) : undefined,
    },
  ],
  test: { include: ['test/**/*.spec.ts'], pool: 'forks', globalSetup: ['test/servers/global-setup.ts'] },
});

import 'reflect-metadata';
import { setTimeout as sleep } from 'node:timers/promises';
import { NestFactory } from '@nestjs/core';
import { Redis } from 'ioredis';
import { CacheWarmer, TieredCacheModule } from '../../../dist/index.js';
import { serve } from './serve.mjs';
import { now } from '../machine.clock.mjs';

// One application of a fleet; runs sign the list `runs` in the Redis at argv[2].
const [ledgerUrl] = process.argv.slice(2);
const ledger = new Redis(ledgerUrl);
let app;

serve({
  /** Boots an application on that store with one warm-up, which takes `runMs`; resolves to how long the boot took. */
  async boot(storeUrl, name, runMs, options) {
    const began = now();
    class Warm {
      constructor(warmer) {
        const run = async ({ signal, progress }) => {
          await ledger.rpush(`runs:${name}`, JSON.stringify({ pid: process.pid, begun: now() }));
          for (let done = 1; done <= 10; done++) {
            await sleep(runMs / 10, undefined, { signal });
            progress(done, 10);
          }
          await ledger.rpush(`ended:${name}`, process.pid);
        };
        warmer.register({ name, run, ...options });
      }
    }
    const root = TieredCacheModule.forRoot({ remote: storeUrl, deadline: '5s' });
    const warm = { provide: Warm, inject: [CacheWarmer], useFactory: (warmer) => new Warm(warmer) };
    app = await NestFactory.createApplicationContext(
      { module: Warm, imports: [root], providers: [warm] },
      { logger: false },
    );
    return now() - began;
  },
  status: () => app.get(CacheWarmer).status()[0],
  close: () => app.close(),
});

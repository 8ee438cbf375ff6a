import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { CacheWarmer, TieredCacheModule } from '../../../dist/index.js';

// A warm-up is scheduled, another one runs and does not end; the application has nothing else to do: the process must end by itself.
class App {}
const app = await NestFactory.createApplicationContext(
  { module: App, imports: [TieredCacheModule.forRoot()] },
  { logger: false },
);
const warmer = app.get(CacheWarmer);
const done = new Promise((resolve) => warmer.onChange(({ state }) => state === 'done' && resolve()));
warmer.register({ name: 'scheduled', every: '1h', run: () => undefined });
warmer.register({ name: 'hangs', timeout: '1h', run: () => new Promise(() => undefined) });
await done;
process.stdout.write(JSON.stringify(warmer.status().map(({ state }) => state)));

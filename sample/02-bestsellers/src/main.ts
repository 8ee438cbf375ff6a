import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module.js';

const app = await NestFactory.create(AppModule, { logger: ['error', 'warn'] });
app.enableShutdownHooks([], { useProcessExit: true });
await app.listen(Number(process.env.PORT || 3000), process.env.HOST || '0.0.0.0');

const { port } = app.getHttpServer().address() as { port: number };
const url = `http://localhost:${port}`;
console.log(`
Bestsellers on ${url}. The headers x-answer, x-age-ms and x-response-time-ms tell what you were given.

  curl -i ${url}/bestsellers/DE           computed; again within 5 s: fresh
  curl -X POST ${url}/upstream/slow       or failing, dead, ok
  curl -i ${url}/bestsellers/DE           after 5 s: stale, within 300 ms, while the refresh goes on
  curl -i ${url}/bestsellers/FR           nothing to fall back on: the first waits, others get 503 with Retry-After

State of the upstream and counters: ${url}/upstream. With CACHE_URL=redis://... several processes compute once for all.
`);

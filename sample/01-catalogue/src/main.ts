import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module.js';

const app = await NestFactory.create(AppModule, { logger: ['error', 'warn', 'log'] });
app.enableShutdownHooks([], { useProcessExit: true });
await app.listen(Number(process.env.PORT || 3000), process.env.HOST || '0.0.0.0');

const { port } = app.getHttpServer().address() as { port: number };
const url = `http://localhost:${port}`;
console.log(`
Places of the world on ${url}. Try a line twice: the headers tell which tier answered and how long it took.

  curl -i '${url}/places/search?q=san&sort=name&page=2'
  curl -i '${url}/places/5391959'
  curl -i '${url}/places?ids=2643743,2988507,5391959'

Hit counters: ${url}/cache. With CACHE_URL=redis://... several processes share one cache.
`);

import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module.js';

const app = await NestFactory.create(AppModule, { logger: ['error', 'warn', 'log'] });
app.enableShutdownHooks([], { useProcessExit: true });
await app.listen(Number(process.env.PORT || 3000), process.env.HOST || '0.0.0.0');

const { port } = app.getHttpServer().address() as { port: number };
const url = `http://localhost:${port}`;
console.log(`
Places of the world on ${url}. Try a line twice: Cache-Status and x-response-time-ms tell where it came from and how long it took.

  curl -i '${url}/places/search?q=san&sort=name&page=2'
  curl -i '${url}/places/5391959'
  curl -i '${url}/places?ids=2643743,2988507,5391959'

Each user's own: curl -X PUT -H 'x-user: ada' ${url}/me/favourites/2950159; curl -i -H 'x-user: ada' ${url}/me/favourites
Hit counters: ${url}/cache. With CACHE_URL=redis://... several processes share one cache (ask them under one name: -H 'Host: places').
`);

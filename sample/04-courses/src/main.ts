import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module.js';

if (!process.env['DATABASE_URL']) {
  console.error(`
This sample keeps courses in a PostgreSQL, named by DATABASE_URL.

  docker run --rm -d -p 5432:5432 -e POSTGRES_PASSWORD=courses postgres
  DATABASE_URL=postgres://postgres:courses@localhost:5432/postgres npm run start:courses

It makes its tables in a schema of its own, "courses". With CACHE_URL=redis://... several processes share the cache, and an edit in one of
them is seen by all.
`);
  process.exit(1);
}

const app = await NestFactory.create(AppModule, { logger: ['error', 'warn'] });
app.enableShutdownHooks([], { useProcessExit: true });
await app.listen(Number(process.env['PORT'] || 3000), process.env['HOST'] || '0.0.0.0');

const { port } = app.getHttpServer().address() as { port: number };
const url = `http://localhost:${port}`;
console.log(`
Courses on ${url}. Each twice; the second says "Cache-Status: tiered-cache; hit".

  curl -i '${url}/courses?category=data&level=easy&page=1'
  curl -i ${url}/courses/42
  curl -i -H 'x-user: ada' '${url}/me/courses?category=data'

An edit. The detail and the pages that show the course go, and no others; a new title or category takes the lists that it moves in.

  curl -i -X PATCH ${url}/courses/42 -H 'x-user: admin' -H 'content-type: application/json' -d '{"price":999}'
`);

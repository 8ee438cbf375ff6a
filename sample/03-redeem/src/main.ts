import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module.js';

if (!process.env['DATABASE_URL']) {
  console.error(`
This sample keeps money, and shows that a database can refuse a late write: it needs a PostgreSQL, named by DATABASE_URL.

  docker run --rm -d -p 5432:5432 -e POSTGRES_PASSWORD=redeem postgres
  DATABASE_URL=postgres://postgres:redeem@localhost:5432/postgres npm run start:redeem

It makes its tables in a schema of its own, "redeem". With CACHE_URL=redis://... several processes share the locks.
`);
  process.exit(1);
}

const app = await NestFactory.create(AppModule, { logger: ['error', 'warn'] });
app.enableShutdownHooks([], { useProcessExit: true });
await app.listen(Number(process.env['PORT'] || 3000), process.env['HOST'] || '0.0.0.0');

const { port } = app.getHttpServer().address() as { port: number };
const url = `http://localhost:${port}`;
console.log(`
Policies on ${url}. Amounts are in cents; policy 1 has a budget of 100.00.

  curl -i -X POST ${url}/policies/1/redeem -H 'content-type: application/json' -H 'x-learner: ada' -H "Idempotency-Key: $(uuidgen)" -d '{"amount":1999}'
  curl -i ${url}/policies/1

The same Idempotency-Key again: the same answer, replayed; nothing redeemed. More than the budget: 422. A storm of requests on several processes
that are stopped and killed: npm run storm
`);

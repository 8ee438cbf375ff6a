import 'reflect-metadata';
import { setTimeout as sleep } from 'node:timers/promises';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import { DataSource, EntitySchema } from 'typeorm';
import { TieredCacheModule } from '../../../dist/index.js';
import { TypeOrmInvalidationModule } from '../../../dist/invalidation/typeorm/index.js';
import { redis } from '../../../dist/stores/redis/index.js';
import { serve } from './serve.mjs';

// A process that saves rows, each as fast as a reader can cache it in between, until it is killed.
const [redisUrl, databaseUrl, outbox] = process.argv.slice(2);
const Counter = new EntitySchema({
  name: 'Counter',
  columns: { id: { type: Number, primary: true }, value: { type: Number } },
});

class App {}
Module({
  imports: [
    TieredCacheModule.forRoot({ remote: redis({ url: redisUrl }), deadline: '2s' }),
    TypeOrmModule.forRoot({ type: 'postgres', url: databaseUrl, entities: [Counter], extra: { max: 40 } }),
    TypeOrmInvalidationModule.forRoot({ outbox: outbox === 'on' }),
  ],
})(App);
const app = await NestFactory.createApplicationContext(App, { logger: ['error'] });
const counters = app.get(DataSource).getRepository(Counter);

async function count(id, pauseMs, first) {
  let { value } = await counters.findOneByOrFail({ id });
  for (;;) {
    await counters.save({ id, value: ++value });
    first();
    await sleep(pauseMs * (0.5 + Math.random()));
  }
}

serve({
  /** Resolves when each row was saved once; they go on being saved. */
  async count(ids, pauseMs) {
    await Promise.all(ids.map((id) => new Promise((resolve) => void count(id, pauseMs, resolve))));
  },
});

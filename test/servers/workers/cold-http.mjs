import 'reflect-metadata';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { Controller, Get, HttpException, Inject, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { CacheService, TieredCacheModule } from '../../../dist/index.js';
import { serve } from './serve.mjs';

// A Nest application whose report takes five seconds, and not less than until `finish`. Plain JavaScript has no decorators.
let runs = 0;
let finish;
const finished = new Promise((resolve) => (finish = resolve));

class Reports {
  constructor(cache) {
    this.cache = cache;
  }
  cold() {
    const load = async () => {
      runs++;
      await Promise.all([sleep(5000), finished]);
      return 'report';
    };
    return this.cache.getOrSet('report', load, { onCold: 'throw' });
  }
  refused() {
    throw new HttpException({ statusCode: 503, message: 'busy' }, 503);
  }
  quick() {
    return 'quick';
  }
}
Controller()(Reports);
Inject(CacheService)(Reports, undefined, 0);
for (const route of ['cold', 'refused', 'quick'])
  Get(route)(Reports.prototype, route, Object.getOwnPropertyDescriptor(Reports.prototype, route));
class App {}
Module({ imports: [TieredCacheModule.forRoot()], controllers: [Reports] })(App);

const app = await NestFactory.create(App, { logger: ['error'] });
await app.listen(0, '127.0.0.1');
const delay = monitorEventLoopDelay({ resolution: 2 });
delay.enable();

serve({
  port: () => app.getHttpServer().address().port,
  runs: () => runs,
  finish: () => finish(),
  /** Of the event loop at p99 since the last time, in milliseconds. */
  lag() {
    const lag = delay.percentile(99) / 1e6;
    delay.reset();
    return lag;
  },
});

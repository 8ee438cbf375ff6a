import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { installedConsumer, packedPackage } from './consumer.js';

const MAJORS = {
  11: [
    '@nestjs/common@11',
    '@nestjs/core@11',
    '@nestjs/config@4',
    '@nestjs/platform-express@11',
    '@nestjs/platform-fastify@11',
    '@nestjs/event-emitter@3',
    '@nestjs/cqrs@11',
  ],
  12: [
    '@nestjs/common@12',
    '@nestjs/core@12',
    '@nestjs/config@12',
    '@nestjs/platform-express@12',
    '@nestjs/platform-fastify@12',
    '@nestjs/event-emitter@12',
    '@nestjs/cqrs@12',
  ],
};

const IMPORTS = {
  esm: `import 'reflect-metadata';
import { Controller, Get, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { CqrsModule, EventBus } from '@nestjs/cqrs';
import { EventEmitter2, EventEmitterModule } from '@nestjs/event-emitter';
import { CacheService, TieredCacheModule } from 'nestjs-tiered-cache';
import { CqrsInvalidationModule, invalidateOn } from 'nestjs-tiered-cache/cqrs';
import { EventInvalidationModule } from 'nestjs-tiered-cache/event-emitter';
const platform = await import('@nestjs/platform-' + process.argv[2]);`,
  cjs: `require('reflect-metadata');
const { Controller, Get, Module } = require('@nestjs/common');
const { NestFactory } = require('@nestjs/core');
const { CqrsModule, EventBus } = require('@nestjs/cqrs');
const { EventEmitter2, EventEmitterModule } = require('@nestjs/event-emitter');
const { CacheService, TieredCacheModule } = require('nestjs-tiered-cache');
const { CqrsInvalidationModule, invalidateOn } = require('nestjs-tiered-cache/cqrs');
const { EventInvalidationModule } = require('nestjs-tiered-cache/event-emitter');
const platform = require('@nestjs/platform-' + process.argv[2]);`,
};

/** A consumer without a compiler: decorators applied by hand. Prints the answers to requests, before and after events of both kinds. */
const APPLICATION = `
let runs = 0;
class Answers {
  constructor(cache) { this.cache = cache; }
  answer() { return this.cache.getOrSet('answer', () => ({ run: ++runs }), { tags: ['Answer'] }); }
}
Reflect.defineMetadata('design:paramtypes', [CacheService], Answers);
Get()(Answers.prototype, 'answer', Object.getOwnPropertyDescriptor(Answers.prototype, 'answer'));
Controller('answer')(Answers);
class Changed {}
const changes = () => ({ entity: 'Answer', kind: 'table' });
const imports = [
  TieredCacheModule.forRoot(),
  EventEmitterModule.forRoot(),
  CqrsModule.forRoot(),
  EventInvalidationModule.forRoot({ events: { changed: changes } }),
  CqrsInvalidationModule.forRoot({ events: [invalidateOn(Changed, changes)] }),
];
class App {}
Module({ imports, controllers: [Answers] })(App);
async function main() {
  const adapter = process.argv[2] === 'fastify' ? new platform.FastifyAdapter() : new platform.ExpressAdapter();
  const app = await NestFactory.create(App, adapter, { logger: ['error', 'warn'] });
  await app.listen(0, '127.0.0.1');
  const answers = [];
  const ask = async () => answers.push(await (await fetch((await app.getUrl()) + '/answer')).text());
  for (let i = 0; i < 2; i++) await ask();
  const { memoryHits } = app.get(CacheService).stats();
  await app.get(EventEmitter2).emitAsync('changed');
  await ask();
  app.get(EventBus).publish(new Changed());
  await new Promise((resolve) => setTimeout(resolve, 100));
  await ask();
  await app.close();
  console.log(JSON.stringify({ answers, memoryHits }));
}
main();
`;

const consumers = new Map<number, string>();

beforeAll(async () => {
  const packed = await packedPackage();
  // Side by side: both wait for the network now and then.
  const installing = Object.entries(MAJORS).map(async ([major, packages]) => {
    const needed = [packed, ...packages, 'rxjs@7', 'reflect-metadata@0.2'];
    const consumer = await installedConsumer(`nest${major}`, needed);
    writeFileSync(join(consumer, 'esm.mjs'), IMPORTS.esm + APPLICATION);
    writeFileSync(join(consumer, 'cjs.cjs'), IMPORTS.cjs + APPLICATION);
    consumers.set(Number(major), consumer);
  });
  await Promise.all(installing);
}, 240_000);

describe.each([11, 12])('the packed package under Nest %i', (major) => {
  it.each([
    ['express', 'esm.mjs'],
    ['express', 'cjs.cjs'],
    ['fastify', 'esm.mjs'],
    ['fastify', 'cjs.cjs'],
  ])('answers from the cache on %s, imported by %s', (platform, script) => {
    const printed = execFileSync(process.execPath, [script, platform], {
      cwd: consumers.get(major),
      encoding: 'utf8',
      timeout: 20_000,
    });
    const { answers, memoryHits } = JSON.parse(printed) as { answers: string[]; memoryHits: number };
    expect(answers).toEqual(['{"run":1}', '{"run":1}', '{"run":2}', '{"run":3}']);
    expect(memoryHits).toBeGreaterThanOrEqual(1);
  });
});

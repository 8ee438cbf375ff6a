import 'reflect-metadata';
import { Controller, Get, Module, Param, Put } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Redis } from 'ioredis';
import { CachePage, CacheResponse, defineEntity, InvalidatesCache, TieredCacheModule } from '../../../dist/index.js';
import { serve } from './serve.mjs';

// Courses in a database that all processes share, behind pages with tags and an edit that invalidates. Plain JavaScript has no decorators.
const [platform, url] = process.argv.slice(2);
const database = new Redis(url);
const Course = defineEntity('Course', { filters: [[]] });
const runs = { list: 0, one: 0, value: 0 };
const read = async (id) => ({ id, title: await database.hget('courses', id) });

class Courses {
  async list() {
    runs.list++;
    return Promise.all(['1', '2'].map(read));
  }
  async one(id) {
    runs.one++;
    return read(id);
  }
  async value(id) {
    runs.value++;
    return read(id);
  }
  async rename(id, title) {
    if (title === 'refused') throw new Error('refused');
    await database.hset('courses', id, title);
    return read(id);
  }
}

function decorate(method, ...decorators) {
  const descriptor = Object.getOwnPropertyDescriptor(Courses.prototype, method);
  for (const decorator of decorators) decorator(Courses.prototype, method, descriptor);
  Object.defineProperty(Courses.prototype, method, descriptor);
}
const tags = ({ value }) => Course.listTags({ ids: value.map(({ id }) => id) });
decorate('list', CachePage({ ttl: '10m', tags }), Get());
decorate('one', CachePage({ ttl: '10m', tags: ({ value }) => Course.tags(value.id) }), Get(':id'));
decorate('value', CacheResponse({ ttl: '10m', tags: (value) => Course.tags(value.id) }), Get(':id/value'));
decorate('rename', InvalidatesCache({ entities: [{ entity: 'Course', id: ({ id }) => id }] }), Put(':id/:title'));
for (const method of ['one', 'value', 'rename']) Param('id')(Courses.prototype, method, 0);
Param('title')(Courses.prototype, 'rename', 1);
Controller('courses')(Courses);
class App {}
Module({
  imports: [TieredCacheModule.forRoot({ remote: url, deadline: '5s', entities: [Course] })],
  controllers: [Courses],
})(App);

const app = await NestFactory.create(App, platform === 'fastify' ? new FastifyAdapter() : new ExpressAdapter(), {
  logger: false,
});
await app.listen(0, '127.0.0.1');

serve({ url: () => app.getUrl(), runs: () => runs });

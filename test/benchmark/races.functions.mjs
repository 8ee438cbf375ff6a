import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { Cached, CacheService, TieredCacheModule } from './engine.mjs';

const PORTION = 10_000;
const KEYS = Array.from({ length: 1024 }, (_, i) => `product:${i}:detail`);

class Products {
  async detail(key) {
    return { key, name: 'A thing', price: 12.5, tags: ['a', 'b'] };
  }

  async page(key, number) {
    return { key, number };
  }
}

class AppModule {}

function decorate(method) {
  const descriptor = Object.getOwnPropertyDescriptor(Products.prototype, method);
  Cached({ ttl: '1h' })(Products.prototype, method, descriptor);
  Object.defineProperty(Products.prototype, method, descriptor);
}

/** One application in each process; the contestants differ in the call alone. */
async function application() {
  decorate('detail');
  decorate('page');
  const module = { module: AppModule, imports: [TieredCacheModule.forRoot()], providers: [Products] };
  return NestFactory.createApplicationContext(module, { logger: false });
}

let at = 0;
const next = () => KEYS[(at = (at + 389) & 1023)];

async function calls(read) {
  for (const key of KEYS) await read(key);
  return {
    async round(operations = PORTION) {
      let found = 0;
      for (let i = 0; i < operations; i++) if ((await read(next())) !== undefined) found++;
      if (found !== operations) throw new Error('a hit was missed');
      return operations;
    },
  };
}

export const functionContestants = {
  async '@Cached'() {
    const products = (await application()).get(Products);
    return calls((key) => products.detail(key));
  },
  async getOrSet() {
    const app = await application();
    const cache = app.get(CacheService);
    const original = async () => ({ name: 'A thing', price: 12.5, tags: ['a', 'b'] });
    return calls((key) => cache.getOrSet(key, original));
  },
  async '@Cached, two arguments'() {
    const products = (await application()).get(Products);
    return calls((key) => products.page(key, 2));
  },
  async 'getOrSet, array key'() {
    const app = await application();
    const cache = app.get(CacheService);
    const original = async () => ({ name: 'A thing' });
    return calls((key) => cache.getOrSet(['page', key, 2], original));
  },
};

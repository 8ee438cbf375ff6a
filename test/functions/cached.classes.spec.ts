import 'reflect-metadata';
import { Injectable, Logger } from '@nestjs/common';
import { Exclude, instanceToPlain } from 'class-transformer';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Cached, TieredCacheModule } from '../../src/index.js';
import { boot, closeAll } from '../nest/boot.js';

class User {
  constructor(readonly id: number) {}

  @Exclude()
  readonly password = 'secret';
}

class Account extends User {
  toJSON(): object {
    return { id: this.id };
  }
}

@Injectable()
class Users {
  @Cached()
  async find(id: number): Promise<User> {
    return new User(id);
  }

  @Cached()
  async page(): Promise<object> {
    return { items: [null, { user: new User(1) }] };
  }

  @Cached()
  async account(): Promise<Account> {
    return new Account(1);
  }

  @Cached()
  async data(): Promise<unknown> {
    return [
      { at: new Date(0), of: new Map([[1, new Set([1])]]), bytes: Buffer.from('a'), url: new URL('http://a') },
      new Error('a'),
    ];
  }
}

let told: string[] = [];

beforeEach(() => {
  told = [];
  vi.spyOn(Logger.prototype, 'warn').mockImplementation((message: unknown) => void told.push(String(message)));
});
afterEach(async () => {
  await closeAll();
  vi.restoreAllMocks();
});

it('warns, once a method, of classes whose decorators hide what the cache would give away', async () => {
  const users = (await boot([TieredCacheModule.forRoot()], [Users])).get(Users);
  expect(instanceToPlain(new User(1))).toEqual({ id: 1 });
  for (const id of [1, 2, 1]) expect(instanceToPlain(await users.find(id))).toEqual({ id, password: 'secret' });
  await users.page();
  expect(told).toEqual([
    expect.stringMatching(/^Users\.find returns an instance of User, .*@Exclude\(\).*toJSON\(\)$/),
    expect.stringMatching(/^Users\.page returns an instance of User, /),
  ]);
});

it('but not of data, nor of a class that says how it is written', async () => {
  const users = (await boot([TieredCacheModule.forRoot()], [Users])).get(Users);
  expect(await users.account()).toEqual({ id: 1 });
  await users.data();
  expect(told).toEqual([]);
});

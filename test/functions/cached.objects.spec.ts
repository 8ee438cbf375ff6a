import 'reflect-metadata';
import {
  Inject,
  Injectable,
  Module,
  Optional,
  Scope,
  UseGuards,
  Controller,
  Get,
  type DynamicModule,
} from '@nestjs/common';
import { ContextIdFactory, ModuleRef, REQUEST } from '@nestjs/core';
import type { TestingModule } from '@nestjs/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { Cached, TieredCacheModule } from '../../src/index.js';
import { boot, bootError, closeAll } from '../nest/boot.js';

afterEach(closeAll);

describe('functions that would use the same keys', () => {
  function usersOf(whose: string) {
    @Injectable()
    class Users {
      @Cached()
      async find(id: number): Promise<string> {
        return `${whose} ${id}`;
      }
    }
    return Users;
  }

  it('stop the boot: of two processes, each may call one of them only', async () => {
    const [Admin, Public] = [usersOf('admin'), usersOf('public')];
    expect(await bootError([TieredCacheModule.forRoot()], [Admin, Public])).toMatchObject({
      code: 'duplicate_function',
    });
  });
});

describe('several objects of one class', () => {
  @Injectable()
  class Client {
    constructor(@Inject('URL') readonly url: string) {}

    @Cached()
    async get(path: string): Promise<string> {
      return this.url + path;
    }
  }

  @Injectable()
  class KeyedClient {
    constructor(@Inject('URL') readonly url: string) {}

    @Cached({
      key(this: KeyedClient, path: string) {
        return [this.url, path];
      },
    })
    async get(path: string): Promise<string> {
      return this.url + path;
    }
  }

  @Module({})
  class ClientModule {
    static register(name: string, url: string, type: typeof Client | typeof KeyedClient = Client): DynamicModule {
      const providers = [type, { provide: 'URL', useFactory: () => url }, { provide: name, useExisting: type }];
      return { module: ClientModule, providers, exports: [name] };
    }
  }

  it('stop the boot where they are made of different things, since their entries are the same', async () => {
    const imports = [TieredCacheModule.forRoot(), ClientModule.register('A', 'a'), ClientModule.register('B', 'b')];
    expect(await bootError(imports)).toMatchObject({
      code: 'unkeyed_configuration',
      message: expect.stringMatching(/^Client\.get is cached.*key\(this: Client/),
    });
  });

  it('have entries of their own by a key that knows them', async () => {
    const [A, B] = [ClientModule.register('A', 'a', KeyedClient), ClientModule.register('B', 'b', KeyedClient)];
    const app = await boot([TieredCacheModule.forRoot(), A, B]);
    const get = (name: string): Promise<string> => app.get<KeyedClient>(name, { strict: false }).get('/x');
    expect([await get('A'), await get('B')]).toEqual(['a/x', 'b/x']);
  });

  it('share them where they are made of the same', async () => {
    const [A, B] = [ClientModule.register('A', 'a'), ClientModule.register('B', 'a')];
    const app = await boot([TieredCacheModule.forRoot(), A, B]);
    const [a, b] = [app.get<Client>('A', { strict: false }), app.get<Client>('B', { strict: false })];
    expect(a).not.toBe(b);
    expect([await a.get('/x'), await b.get('/x')]).toEqual(['a/x', 'a/x']);
  });

  it('stop the boot where nobody knows what they are made of', async () => {
    const lazy = (): object =>
      new Proxy(
        {},
        {
          ownKeys: () => {
            throw new Error('outside of a request');
          },
        },
      );
    const moduleOf = (): DynamicModule => {
      @Module({ providers: [Client, { provide: 'URL', useValue: lazy() }] })
      class Some {}
      return { module: Some };
    };
    expect(await bootError([TieredCacheModule.forRoot(), moduleOf(), moduleOf()])).toMatchObject({
      code: 'unkeyed_configuration',
    });
  });

  it('share them as a provider of several modules, and as a guard of several controllers', async () => {
    @Injectable({ scope: Scope.TRANSIENT })
    class Log {}
    @Injectable()
    class Table {
      constructor(
        readonly modules: ModuleRef,
        readonly log: Log,
        @Optional() @Inject('NOTHING') readonly nothing: unknown,
      ) {}
    }
    @Injectable()
    class Rights {
      constructor(readonly table: Table) {}

      @Cached()
      async may(user: string): Promise<boolean> {
        return user === 'ann';
      }

      canActivate(): Promise<boolean> {
        return this.may('ann');
      }
    }
    const moduleOf = (): DynamicModule => {
      @Controller()
      @UseGuards(Rights)
      class Any {
        @Get()
        get(): void {}
      }
      @Module({ providers: [Table, Log, Rights], controllers: [Any] })
      class Some {}
      return { module: Some };
    };
    await expect(boot([TieredCacheModule.forRoot(), moduleOf(), moduleOf()])).resolves.toBeDefined();
  });
});

describe('an object that is given the request', () => {
  @Injectable({ scope: Scope.REQUEST })
  class Tenant {
    readonly name: string;

    constructor(@Inject(REQUEST) request: { tenant: string }) {
      this.name = request.tenant;
    }
  }

  const refusal = { code: 'unkeyed_request', message: expect.stringMatching(/^Orders\.latest is cached.*everybody/) };

  it('stops the boot: everybody would be served what the first was given', async () => {
    @Injectable()
    class Orders {
      constructor(readonly tenant: Tenant) {}

      @Cached()
      async latest(): Promise<string> {
        return this.tenant.name;
      }
    }
    expect(await bootError([TieredCacheModule.forRoot()], [Tenant, Orders])).toMatchObject(refusal);
  });

  it('stops it, too, where it is durable and is given the payload of a tenant', async () => {
    @Injectable({ scope: Scope.REQUEST, durable: true })
    class Orders {
      constructor(@Inject(REQUEST) readonly payload: { tenant: string }) {}

      @Cached()
      async latest(): Promise<string> {
        return this.payload.tenant;
      }
    }
    expect(await bootError([TieredCacheModule.forRoot()], [Orders])).toMatchObject(refusal);
  });

  it('has entries of its own by a key that knows', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class Orders {
      constructor(readonly tenant: Tenant) {}

      @Cached({
        key(this: Orders) {
          return [this.tenant.name];
        },
      })
      async latest(): Promise<string> {
        return this.tenant.name;
      }
    }
    const app = await boot([TieredCacheModule.forRoot()], [Tenant, Orders]);
    const latest = async (tenant: string): Promise<string> => (await forTenant(app, Orders, tenant)).latest();
    expect([await latest('a'), await latest('b')]).toEqual(['a', 'b']);
  });

  async function forTenant<T>(app: TestingModule, type: new (...args: never[]) => T, tenant: string): Promise<T> {
    const id = ContextIdFactory.create();
    app.registerRequestByContextId({ tenant }, id);
    return app.resolve(type as never, id);
  }
});

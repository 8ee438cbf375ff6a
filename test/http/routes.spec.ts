import 'reflect-metadata';
import { Controller, Get, Inject, Injectable, Module, Scope, type DynamicModule, type Type } from '@nestjs/common';
import { ContextIdFactory, REQUEST, RouterModule, type ContextId, type HostComponentInfo } from '@nestjs/core';
import { afterEach, describe, expect, it } from 'vitest';
import { byHeaders, byQuery, byRoute, CachePage, CacheResponse, TieredCacheModule } from '../../src/index.js';
import { closeAll, serve, type Platform } from '../nest/boot.js';
import { ask } from './wire/wire.client.js';

// A large application has two classes of one name in two modules, one class in two, or one provider a tenant: none answers for another.

afterEach(closeAll);

const key = [byRoute(), byQuery(['page'])];
const FOR = 'FOR';

function usersFor(whom: string): Type {
  @Controller('users')
  class UsersController {
    @Get()
    @CachePage({ ttl: '1m', key })
    list(): object {
      return { whom };
    }

    @Get('sorted')
    @CachePage({ ttl: '1m', key: [byRoute(), byQuery('*')] })
    sorted(): object {
      return { whom };
    }

    @Get('values')
    @CacheResponse({ ttl: '1m', key })
    values(): object {
      return { whom };
    }
  }
  return UsersController;
}

@Controller('users')
class SharedUsers {
  constructor(@Inject(FOR) private readonly whom: string) {}

  @Get()
  @CachePage({ ttl: '1m', key })
  list(): object {
    return { whom: this.whom };
  }

  @Get('sorted')
  @CachePage({ ttl: '1m', key: [byRoute(), byQuery('*')] })
  sorted(): object {
    return { whom: this.whom };
  }

  @Get('values')
  @CacheResponse({ ttl: '1m', key })
  values(): object {
    return { whom: this.whom };
  }
}

const APPLICATIONS: Readonly<Record<string, (whom: string) => Type>> = {
  'Two classes of one name': usersFor,
  'One class in two modules': () => SharedUsers,
};

function modulesOf(controllerFor: (whom: string) => Type): Array<Type | DynamicModule> {
  const routes = ['public', 'admin'].map((whom) => {
    @Module({ controllers: [controllerFor(whom)], providers: [{ provide: FOR, useValue: whom }] })
    class UsersModule {}
    return { path: whom, module: UsersModule };
  });
  return [...routes.map(({ module }) => module), RouterModule.register(routes)];
}

@Injectable({ scope: Scope.REQUEST, durable: true })
class Tenant {
  constructor(@Inject(REQUEST) private readonly payload: { readonly tenant: string }) {}

  get name(): string {
    return this.payload.tenant;
  }
}

@Controller()
class OfTenants {
  constructor(@Inject(Tenant) private readonly tenant: Tenant) {}

  @Get('page')
  @CachePage('1m')
  page(): object {
    return { tenant: this.tenant.name };
  }

  @Get('value')
  @CacheResponse('1m')
  value(): object {
    return { tenant: this.tenant.name };
  }
}

type TenantRequest = { readonly headers: Record<string, string> };

/** Reads when it is made, before anybody could see it. */
@Injectable({ scope: Scope.REQUEST })
class TenantOfRequest {
  readonly name: string;

  constructor(@Inject(REQUEST) request: TenantRequest) {
    this.name = request.headers['x-tenant'] as string;
  }
}

const byFactory = {
  provide: 'TENANT',
  scope: Scope.REQUEST,
  inject: [REQUEST],
  useFactory: (request: TenantRequest) => request.headers['x-tenant'],
};

@Controller('constructor')
class ByConstructor {
  constructor(@Inject(TenantOfRequest) private readonly tenant: TenantOfRequest) {}

  @Get('page')
  @CachePage('1m')
  page(): object {
    return { tenant: this.tenant.name };
  }

  @Get('value')
  @CacheResponse('1m')
  value(): object {
    return { tenant: this.tenant.name };
  }

  @Get('keyed')
  @CachePage({ ttl: '1m', key: [byRoute(), byHeaders('x-tenant')], autoVary: { ignore: ['request:REQUEST'] } })
  keyed(): object {
    return { tenant: this.tenant.name };
  }
}

@Controller('property')
class ByProperty {
  @Inject('TENANT') private readonly tenant!: string;

  @Get('page')
  @CachePage('1m')
  page(): object {
    return { tenant: this.tenant };
  }
}

describe.each<Platform>(['express', 'fastify'])('on %s', (platform) => {
  it('what was made of the request before the handler ran tells tenants apart, unseen: nothing is stored unless the key is said to know', async () => {
    const { url } = await serve(platform, {
      imports: [TieredCacheModule.forRoot()],
      controllers: [ByConstructor, ByProperty],
      providers: [TenantOfRequest, byFactory],
    });
    for (const path of ['constructor/page', 'constructor/value', 'property/page', 'constructor/keyed'])
      for (const times of [1, 2])
        for (const tenant of ['a', 'b']) {
          const { body, headers } = await ask(`${url}/${path}`, { headers: { 'x-tenant': tenant } });
          expect(body.toString()).toBe(JSON.stringify({ tenant }));
          if (times > 1 && path.endsWith('keyed')) expect(headers['cache-status']).toContain('; hit');
        }
  });

  it.each(Object.keys(APPLICATIONS))('%s, under two paths, answer by themselves', async (which) => {
    const modules = modulesOf(APPLICATIONS[which] as (whom: string) => Type);
    const imports = [TieredCacheModule.forRoot(), ...modules];
    const { url } = await serve(platform, { imports, controllers: [] });
    for (const path of ['users', 'users/sorted', 'users/values'])
      for (const times of [1, 2, 3])
        for (const whom of ['admin', 'public']) {
          const { body, headers } = await ask(`${url}/${whom}/${path}`);
          expect(body.toString()).toBe(JSON.stringify({ whom }));
          if (times > 1 && path !== 'users/values') expect(headers['cache-status']).toContain('; hit');
        }
  });

  it('durable providers of two tenants have pages of their own, which no CDN may keep', async () => {
    const trees = new Map<string, ContextId>();
    const strategies = ContextIdFactory as unknown as { strategy: unknown };
    const before = strategies.strategy;
    ContextIdFactory.apply({
      attach(contextId: ContextId, { headers }: { headers: Record<string, string> }) {
        const tenant = headers['x-tenant'] as string;
        const tree = trees.get(tenant) ?? ContextIdFactory.create();
        trees.set(tenant, tree);
        const resolve = ({ isTreeDurable }: HostComponentInfo): ContextId => (isTreeDurable ? tree : contextId);
        return { resolve, payload: { tenant } };
      },
    });
    try {
      const imports = [TieredCacheModule.forRoot()];
      const { url } = await serve(platform, { imports, controllers: [OfTenants], providers: [Tenant] });
      for (const path of ['page', 'value'])
        for (const times of [1, 2])
          for (const tenant of ['a', 'b']) {
            const { body, headers } = await ask(`${url}/${path}`, { headers: { 'x-tenant': tenant } });
            expect(body.toString()).toBe(JSON.stringify({ tenant }));
            if (path === 'value') continue;
            expect(headers['cache-control']).toMatch(/^private, /);
            if (times > 1) expect(headers['cache-status']).toContain('; hit');
          }
    } finally {
      strategies.strategy = before;
    }
  });
});

import 'reflect-metadata';
import { Controller, Get, Inject, Module, type DynamicModule, type Type } from '@nestjs/common';
import { RouterModule } from '@nestjs/core';
import { afterEach, describe, expect, it } from 'vitest';
import { byQuery, byRoute, CachePage, CacheResponse, TieredCacheModule } from '../../src/index.js';
import { closeAll, serve, type Platform } from '../nest/boot.js';
import { ask } from './wire/wire.client.js';

// A large application has two classes of one name in two modules, or one class in two: `byRoute()` tells them apart.

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

describe.each<Platform>(['express', 'fastify'])('on %s', (platform) => {
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
});

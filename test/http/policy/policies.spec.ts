import 'reflect-metadata';
import { Controller, Get, Injectable, Post, UseInterceptors } from '@nestjs/common';
import type { CallHandler, ExecutionContext, NestInterceptor, Type } from '@nestjs/common';
import { APP_INTERCEPTOR } from '@nestjs/core';
import { afterEach, describe, expect, it } from 'vitest';
import { TieredCacheModule } from '../../../src/tiered-cache.module.js';
import { byParams, byRoute } from '../../../src/http/keys/route.components.js';
import { CachePage } from '../../../src/http/policy/cache-page.decorator.js';
import { CacheResponse } from '../../../src/http/policy/cache-response.decorator.js';
import { settingFor, type CompiledPolicy } from '../../../src/http/policy/compiled.policy.js';
import { NoCache } from '../../../src/http/policy/no-cache.decorator.js';
import type { RequestView } from '../../../src/http/policy/request-view.js';
import { claimCall } from '../../../src/http/policy/response-cache.metadata.js';
import { ResponseCachePolicies, type ResponseCacheOptions } from '../../../src/http/policy/response-cache.policies.js';
import { closeAll, serve } from '../../nest/boot.js';
import { PLATFORMS } from './probe.js';

afterEach(closeAll);

const view = { search: 'long' } as RequestView;

@CachePage({ ttl: '1m', maxBytes: 100, status: [200] })
class CachedController {
  plain() {}

  @CachePage({ ttl: '2m', tags: ['b'] })
  own() {}

  @CachePage('catalogue')
  named() {}

  @CachePage({ extends: 'catalogue', ttl: 5 })
  extended() {}

  @NoCache()
  not() {}

  @NoCache()
  @CachePage()
  notBelow() {}

  @CachePage()
  @NoCache()
  notAbove() {}

  @CacheResponse('30s')
  value() {}
}

class PlainController {
  plain() {}

  @CachePage()
  cached() {}
}

@NoCache()
class NeverController {
  plain() {}

  @CachePage(1)
  cached() {}
}

class DerivedController extends CachedController {
  override plain() {}
}

const options: ResponseCacheOptions = {
  base: { ttl: '10m', freshFor: '30s', maxBytes: 50, namespace: 'pages' },
  policies: { catalogue: { ttl: 'forever', maxBytes: 75, vary: ['x-shop'] } },
};

function policyOf(controller: Type, name: string, given: ResponseCacheOptions = options): CompiledPolicy | undefined {
  const handler = (controller.prototype as Record<string, (...args: never[]) => unknown>)[name];
  return new ResponseCachePolicies(given).ofHandler(controller, handler as (...args: never[]) => unknown);
}

describe('the policy of a handler', () => {
  it('is laid over those of its controller and its module, field by field', () => {
    expect(policyOf(CachedController, 'plain')).toMatchObject({
      kind: 'page',
      ttl: 60_000,
      freshFor: 30_000,
      maxBytes: 100,
    });
    expect(policyOf(CachedController, 'own')).toMatchObject({
      ttl: 120_000,
      maxBytes: 100,
      tags: ['b'],
      status: [200],
    });
    expect(policyOf(PlainController, 'cached')).toMatchObject({ ttl: 600_000, namespace: 'pages' });
  });

  it('starts from a named one, which wins over the controller and not over its own fields', () => {
    expect(policyOf(CachedController, 'named')).toMatchObject({ ttl: Infinity, maxBytes: 75, vary: ['x-shop'] });
    expect(policyOf(CachedController, 'extended')).toMatchObject({ ttl: 5, maxBytes: 75 });
  });

  it('is none without a decorator, unless everything is cached', () => {
    expect(policyOf(PlainController, 'plain')).toBeUndefined();
    expect(policyOf(PlainController, 'plain', { cacheAll: true })).toMatchObject({ kind: 'page', ttl: undefined });
  });

  it('is none under NoCache, wherever that stands', () => {
    for (const name of ['not', 'notBelow', 'notAbove']) expect(policyOf(CachedController, name)).toBeUndefined();
    expect(policyOf(NeverController, 'plain', { cacheAll: true })).toBeUndefined();
    expect(policyOf(NeverController, 'cached')).toMatchObject({ ttl: 1 });
  });

  it('keeps values for CacheResponse', () => {
    expect(policyOf(CachedController, 'value')).toMatchObject({ kind: 'value', ttl: 30_000 });
  });

  it('is inherited by derived controllers', () => {
    expect(policyOf(DerivedController, 'plain')).toMatchObject({ ttl: 60_000 });
    expect(policyOf(DerivedController, 'own')).toMatchObject({ ttl: 120_000 });
  });

  it('has safe defaults', () => {
    expect(policyOf(PlainController, 'cached', {})).toMatchObject({
      mode: 'ttl',
      staleWhileRevalidate: 0,
      staleIfError: 0,
      negativeTtl: undefined,
      hardTimeout: Infinity,
      isPrincipal: false,
      autoVary: true,
      maxBytes: 1_048_576,
      maxVariants: 20,
      bypass: false,
      namespace: 'http',
      clientDirectives: false,
      downstream: 'auto',
      public: false,
      beforeGuards: false,
    });
    expect(policyOf(PlainController, 'cached', { base: { mode: 'rfc' } })).toMatchObject({ clientDirectives: true });
  });

  it('is computed once', () => {
    const policies = new ResponseCachePolicies(options);
    const handler = CachedController.prototype.own;
    expect(policies.ofHandler(CachedController, handler)).toBe(policies.ofHandler(CachedController, handler));
  });

  it('keeps functions, and converts and checks what they answer', () => {
    const policy = policyOf(PlainController, 'cached', {
      base: {
        ttl: ({ search }) => (search === 'long' ? '1h' : '1s'),
        status: () => [200, 404],
        maxVariants: () => 0.5,
      },
    }) as CompiledPolicy;
    expect(settingFor(policy.ttl, view)).toBe(3_600_000);
    expect(settingFor(policy.status, view)).toEqual([200, 404]);
    expect(() => settingFor(policy.maxVariants, view)).toThrow(
      'PlainController.cached.maxVariants() must be a whole number',
    );
    expect(() =>
      settingFor(policyOf(PlainController, 'cached', { base: { ttl: async () => 1 } as never })?.ttl, view),
    ).toThrow('PlainController.cached.ttl() must be milliseconds');
  });
});

describe('a malformed policy', () => {
  const wrong: ReadonlyArray<readonly [policy: unknown, code: string, message: string]> = [
    [{ tll: 1 }, 'unknown_option', 'unknown option "@CachePage.tll": did you mean "ttl"?'],
    [{ ttl: 'soon' }, 'invalid_duration', '@CachePage.ttl must be milliseconds'],
    [-1, 'invalid_duration', '@CachePage.ttl'],
    [{ mode: 'http' }, 'invalid_option', `@CachePage.mode must be one of 'ttl', 'rfc'; got a string`],
    [
      { key: [byRoute] },
      'invalid_option',
      '@CachePage.key[0] must be a key component such as byQuery(...), called; got a function',
    ],
    [{ key: 'all' }, 'invalid_option', '@CachePage.key must be an array; got a string'],
    [{ vary: ['a b'] }, 'invalid_option', '@CachePage.vary[0] must be the name of a header or cookie; got a string'],
    [{ status: [99] }, 'invalid_option', '@CachePage.status[0] must be a status from 200 to 599'],
    [{ principal: 'user' }, 'invalid_option', '@CachePage.principal must be a function; got a string'],
    [{ autoVary: { ignore: ['user-agent'] } }, 'invalid_option', '@CachePage.autoVary.ignore[0] must be an input'],
    [{ autoVary: {} }, 'invalid_option', '@CachePage.autoVary must be true, false or what is to be ignored'],
    [
      { autoVary: { ignoreContexts: ['tenant'] } },
      'invalid_option',
      '@CachePage.autoVary.ignoreContexts[0] must be an AsyncLocalStorage; got a string',
    ],
    [{ autoVary: { ignoreContext: [] } }, 'unknown_option', 'did you mean "ignoreContexts"?'],
    [{ downstream: true }, 'invalid_option', "@CachePage.downstream must be 'auto', false or a Cache-Control value"],
    [{ maxBytes: 0 }, 'invalid_option', '@CachePage.maxBytes must be a whole number'],
    [[], 'invalid_option', '@CachePage must be an object; got an array'],
  ];
  it.each(wrong)('%j is refused where it is written (%s)', (policy, code, message) => {
    let error: unknown;
    try {
      CachePage(policy as never);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({ code });
    expect((error as Error).message).toContain(message);
  });

  it('of the module is refused by its path', () => {
    const make = (given: ResponseCacheOptions) => () => new ResponseCachePolicies(given);
    expect(make({ base: { ttl: 'x' as never } })).toThrow('responses.base.ttl');
    expect(make({ policies: { a: { maxVariants: -1 } } })).toThrow('responses.policies.a.maxVariants');
    expect(make({ policies: { a: { extends: 'b' } } })).toThrow('responses.policies.a.extends must be left out');
  });

  it('of a handler is refused with its name', () => {
    expect(() => policyOf(CachedController, 'named', { policies: { catalog: {} } })).toThrow(
      'CachedController.named: no response cache policy "catalogue"; did you mean "catalog"?',
    );
    const both = { public: true, principal: () => 'a', key: [byRoute(), byParams()] };
    expect(() => policyOf(PlainController, 'cached', { base: both })).toThrow(
      'public and PlainController.cached.principal',
    );
    expect(() => policyOf(PlainController, 'cached', { base: { beforeGuards: true } })).toThrow('needs public: true');
  });
});

describe.each(PLATFORMS)('a decorated handler on %s', (platform) => {
  const seen: string[] = [];

  /** As the response cache will. */
  @Injectable()
  class Claiming implements NestInterceptor {
    intercept(context: ExecutionContext, next: CallHandler) {
      seen.push(claimCall(context) ? 'runs' : 'passes');
      return next.handle();
    }
  }

  @CachePage('1m')
  @UseInterceptors(Claiming)
  @Controller()
  class BooksController {
    @CachePage()
    @UseInterceptors(Claiming)
    @Get('books')
    list() {
      return ['a'];
    }

    @Post('books')
    create() {
      return 'created';
    }
  }

  it('is answered, and cached by one interceptor however often that is registered', async () => {
    seen.length = 0;
    const { url } = await serve(platform, {
      imports: [TieredCacheModule.forRoot()],
      controllers: [BooksController],
      providers: [{ provide: APP_INTERCEPTOR, useClass: Claiming }],
    });
    expect(await (await fetch(`${url}/books`)).json()).toEqual(['a']);
    expect(seen).toEqual(['runs', 'passes', 'passes']);
    await (await fetch(`${url}/books`)).json();
    expect(seen.slice(3)).toEqual(['runs', 'passes', 'passes']);
    expect(await (await fetch(`${url}/books`, { method: 'POST' })).text()).toBe('created');
  });
});

import 'reflect-metadata';
import { UseInterceptors, type INestApplication, type ModuleMetadata, type Provider, type Type } from '@nestjs/common';
import { APP_INTERCEPTOR } from '@nestjs/core';
import { CacheInterceptor, CacheModule } from '@nestjs/cache-manager';
import { CacheInterceptor as MigratedInterceptor } from '../../src/http/migration/index.js';
import {
  CachePage,
  CacheResponse,
  ResponseCacheInterceptor,
  TieredCacheModule,
  type ResponseCachePolicy,
  type TieredCacheOptions,
} from '../../src/index.js';
import { serve, type Platform, type Served } from '../nest/boot.js';

/** Whose response cache: this package's, of whole responses, of values, or under the names it had; or that of @nestjs/cache-manager. */
export type Kind = 'page' | 'value' | 'migrated' | 'stock';
/** Where it is registered. */
export type Placement = 'handler' | 'controller' | 'global';

export interface Subject {
  readonly kind: Kind;
  readonly placement: Placement;
}

/** Decorators under which the same controller is cached by either. */
export class CachedBy implements Subject {
  constructor(
    readonly kind: Kind,
    readonly placement: Placement,
    private readonly policy: ResponseCachePolicy = {},
  ) {}

  get name(): string {
    const what = {
      page: '@CachePage',
      value: '@CacheResponse',
      migrated: 'our CacheInterceptor',
      stock: 'the stock one',
    };
    return `${what[this.kind]}, per ${this.placement}`;
  }

  /** For the class. */
  get controller(): ClassDecorator {
    return this.placement === 'controller' ? (this.decorator() as ClassDecorator) : () => undefined;
  }

  /** For a handler. */
  handler(policy: ResponseCachePolicy = {}): MethodDecorator {
    if ((this.kind === 'page' || this.kind === 'value') && Object.keys(policy).length > 0)
      return this.decorator(policy);
    return this.placement === 'handler' ? this.decorator() : () => undefined;
  }

  serve(
    platform: Platform,
    controllers: Type[],
    {
      providers = [],
      imports = [],
      prepare,
      options = {},
    }: {
      providers?: Provider[];
      imports?: NonNullable<ModuleMetadata['imports']>;
      prepare?: (app: INestApplication) => unknown;
      options?: TieredCacheOptions;
    } = {},
  ): Promise<Served> {
    const isStock = this.kind === 'stock';
    const cacheAll = this.placement === 'global' && this.kind === 'page';
    const responses = { base: { ttl: '1m', ...this.policy } as ResponseCachePolicy, ...(cacheAll && { cacheAll }) };
    const cache = isStock
      ? CacheModule.register({ isGlobal: true, ttl: 60_000 })
      : TieredCacheModule.forRoot({ ...options, responses: { ...responses, ...options.responses } });
    const interceptor = isStock
      ? CacheInterceptor
      : this.kind === 'migrated'
        ? MigratedInterceptor
        : ResponseCacheInterceptor;
    const global = { provide: APP_INTERCEPTOR, useClass: interceptor };
    const metadata = {
      imports: [...imports, ...(isStock && imports.length > 0 ? [] : [cache])],
      controllers,
      providers: [...providers, ...(this.placement === 'global' ? [global] : [])],
    };
    return serve(platform, metadata, prepare);
  }

  private decorator(policy: ResponseCachePolicy = {}): MethodDecorator & ClassDecorator {
    if (this.kind === 'stock') return UseInterceptors(CacheInterceptor);
    if (this.kind === 'migrated') return UseInterceptors(MigratedInterceptor);
    return this.kind === 'page' ? CachePage(policy) : CacheResponse(policy);
  }
}

/** A gate that opens for all who wait at it. */
export class Gate {
  private open!: () => void;
  readonly opened = new Promise<void>((resolve) => (this.open = resolve));
  private waiting = 0;

  constructor(private readonly at = Infinity) {}

  /** Opens when this many have come. */
  arrive(): void {
    if (++this.waiting >= this.at) this.open();
  }

  release(): void {
    this.open();
  }
}

import { SSE_METADATA } from '@nestjs/common/constants.js';
import { Injectable, type ExecutionContext } from '@nestjs/common';
import type { KeyPart } from '../../core/cache.options.js';
import { compilePolicy, type CompiledPolicy } from '../policy/compiled.policy.js';
import { handlerIdentity } from '../policy/handler-identity.js';
import { OfHandlers, type Handler } from '../policy/of-handlers.js';
import type { ResponseCachePolicy } from '../policy/response-cache.policy.js';
import { ResponseCacheInterceptor, type CallOf } from '../response-cache.interceptor.js';
import { keyOf, ttlOf, type ValueOrFactory } from './cache-decorators.js';

/**
 * Takes the place of `CacheInterceptor` of @nestjs/cache-manager: every GET handler it is put on, or all of them, is cached as by
 * `@CachePage()`, with `@CacheKey()` and `@CacheTTL()` as they were. What changes is listed in the README.
 * @example @UseInterceptors(CacheInterceptor) @CacheTTL(30_000) @Get() list() {}
 */
@Injectable()
export class CacheInterceptor extends ResponseCacheInterceptor {
  private readonly compiled = new OfHandlers<CompiledPolicy>();

  /**
   * For subclasses: what tells one response from another, instead of handler, parameters and query; `undefined` goes past the cache.
   * The origin, and who asks, are always told apart.
   */
  protected trackBy(context: ExecutionContext): string | undefined {
    const key = keyOf(context);
    return typeof key === 'function' ? key(context) : key;
  }

  /** For subclasses: `false` goes past the cache. */
  protected isRequestCacheable(_context: ExecutionContext): boolean {
    return true;
  }

  override policyOf(context: CallOf): CompiledPolicy | undefined {
    if (context.getType<string>() !== 'http') return undefined;
    const handler = context.getHandler() as Handler;
    // A stream of events has no end.
    if (Reflect.hasMetadata(SSE_METADATA, handler)) return undefined;
    const controller = context.getClass();
    const known = this.compiled.get(controller, handler);
    if (known !== undefined) return known;
    const policy = this.compiled.set(controller, handler, this.compile(context));
    this.caches.policies.noteSharing(policy, controller, handler);
    return policy;
  }

  private compile(context: CallOf): CompiledPolicy {
    const isTracked = keyOf(context) !== undefined || this.trackBy !== CacheInterceptor.prototype.trackBy;
    const ttl = ttlOf(context);
    const policy: ResponseCachePolicy = {
      ...(ttl !== undefined && { ttl: lifetimeOf(ttl) }),
      ...(isTracked && { key: (call) => this.trackBy(call.context) as KeyPart }),
      bypass: (view) => !this.isRequestCacheable(view.context),
    };
    return compilePolicy(policy, 'page', handlerIdentity(context.getClass(), context.getHandler() as Handler).name);
  }
}

function lifetimeOf(ttl: ValueOrFactory<number>): NonNullable<ResponseCachePolicy['ttl']> {
  return typeof ttl === 'function' ? (view) => ttl(view.context) : ttl;
}

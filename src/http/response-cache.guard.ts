import { Inject, Injectable, Optional } from '@nestjs/common';
import type { CanActivate, ExecutionContext } from '@nestjs/common';
import type { Handler } from './policy/of-handlers.js';
import { ResponseCaches } from './response-caches.js';

/**
 * Turns nobody away. It runs as the last guard of cached handlers. Where no interceptor stands outside of the cache's, it sends the hits: nobody
 * else would have seen them. Where one does, what it reads begins to be noted here: after the guards, whose reads do not make an answer, and
 * before all that makes one.
 */
@Injectable()
export class ResponseCacheGuard implements CanActivate {
  /** Turns nobody away: other guards may be meant to be the last. */
  static readonly allowsEverything = true;

  constructor(@Optional() @Inject(ResponseCaches) private readonly caches?: ResponseCaches) {}

  canActivate(context: ExecutionContext): true | Promise<true> {
    const [controller, handler] = [context.getClass(), context.getHandler() as Handler];
    const answer = this.caches?.answeredInGuard.get(controller, handler);
    if (answer) return answer.answer(context);
    const interceptor = this.caches?.behindOthers.get(controller, handler);
    return interceptor ? interceptor.arrive(context) : true;
  }
}

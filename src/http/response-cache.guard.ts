import { Inject, Injectable, Optional } from '@nestjs/common';
import type { CanActivate, ExecutionContext } from '@nestjs/common';
import { ResponseCaches } from './response-caches.js';

/**
 * Allows everything. It runs as the last guard of cached handlers that have interceptors outside of the cache's, which is where what they
 * read begins to be noted: after the guards, whose reads do not make an answer, and before all that makes one.
 */
@Injectable()
export class ResponseCacheGuard implements CanActivate {
  /** Turns nobody away: other guards may be meant to be the last. */
  static readonly allowsEverything = true;

  constructor(@Optional() @Inject(ResponseCaches) private readonly caches?: ResponseCaches) {}

  canActivate(context: ExecutionContext): true | Promise<true> {
    const interceptor = this.caches?.behindOthers.get(context.getClass(), context.getHandler() as never);
    return interceptor ? interceptor.arrive(context) : true;
  }
}

import 'reflect-metadata';
import type { ExecutionContext } from '@nestjs/common';
import { HEADERS_METADATA } from '@nestjs/common/constants.js';
import { leaveArrival, takeArrival } from './arrival.js';
import type { BypassedPage } from './keys/page-key.js';
import type { PageRequest } from './page-request.js';
import { DetachedFill } from './page-refresh.js';
import type { CompiledPolicy } from './policy/compiled.policy.js';
import { HttpRequestView } from './policy/http-request.view.js';
import type { Handler } from './policy/of-handlers.js';
import type { StaticField } from './response-cache.js';
import type { ResponseCaches } from './response-caches.js';
import { detachedTaskOf } from './wire/index.js';

/** Sends the hits of one handler when its guards have let the request in: no interceptor outside of the cache's would have seen them. */
export class GuardAnswer {
  /** What `@Header()` says: Nest sets it after the guards. */
  private readonly fields: readonly StaticField[];

  constructor(
    private readonly caches: ResponseCaches,
    private readonly policy: CompiledPolicy,
    handler: Handler,
  ) {
    this.fields = (Reflect.getMetadata(HEADERS_METADATA, handler) ?? []) as StaticField[];
  }

  /**
   * What there is to be sent at once is sent, and the promise never settles: Nest does nothing more for the request. Nothing but the call
   * itself refers to it, so that both are collected together. Anything else is left to the interceptor.
   */
  answer(context: ExecutionContext): true | Promise<never> {
    if (context.getType<string>() !== 'http' || this.caches.isOff) return true;
    takeArrival(context);
    const view = new HttpRequestView(context);
    if (detachedTaskOf(view.request) instanceof DetachedFill) return true;
    let asked: PageRequest | BypassedPage;
    try {
      asked = this.caches.asked(view, this.policy);
    } catch {
      // The interceptor comes by it again, where the response has the handler's status and fields for the exception filters.
      return true;
    }
    if (!('bypass' in asked) && this.caches.pagesOf(this.policy.namespace).sendNear(asked, this.fields))
      return new Promise<never>(() => undefined);
    leaveArrival(view, { asked });
    return true;
  }
}

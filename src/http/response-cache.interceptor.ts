import { Inject, Injectable, Logger } from '@nestjs/common';
import type { CallHandler, ExecutionContext, NestInterceptor } from '@nestjs/common';
import type { Observable } from 'rxjs';
import { invalidates, isUnsafe } from '../http-semantics/invalidates.js';
import type { Fields } from '../http-semantics/fields/fields.js';
import { pageKeyOf } from './keys/page-key.js';
import { leaveArrival, takeArrival, type Arrival } from './arrival.js';
import type { PageRequest } from './page-request.js';
import { noteReads } from './page-requests.js';
import type { CompiledPolicy } from './policy/compiled.policy.js';
import type { RequestView } from './policy/request-view.js';
import { requestViewOf } from './policy/request-view-of.js';
import { claimCall } from './policy/response-cache.metadata.js';
import { writesResponse } from './policy/writes-response.js';
import { DetachedFill } from './page-refresh.js';
import type { Found } from './response-cache.js';
import { groupTag, sharedTags, uriOf, uriTag } from './response-tags.js';
import { ResponseCaches } from './response-caches.js';
import { detachedTaskOf, holdAnswer, rawResponseOf } from './wire/index.js';

/** As much of a call as decides which policy holds. */
export type CallOf = Pick<ExecutionContext, 'getClass' | 'getHandler' | 'getType'>;

/** Answers from the response cache, and fills it; once for a call, however often it is registered. Runs after guards, always. */
@Injectable()
export class ResponseCacheInterceptor implements NestInterceptor {
  private readonly logger = new Logger('ResponseCache');

  constructor(@Inject(ResponseCaches) protected readonly caches: ResponseCaches) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    if (!claimCall(context)) return next.handle();
    const arrival = takeArrival(context);
    if (this.caches.isOff) return next.handle();
    const policy = this.policyOf(context);
    // An unsafe handler need not be cached itself: others are, under its URI.
    if (policy === undefined && context.getType<string>() !== 'http') return next.handle();
    const view = requestViewOf(context);
    if (view === undefined) return next.handle();
    if (view.kind === 'http' && isUnsafe(view.method)) {
      this.invalidating(view);
      return next.handle();
    }
    if (policy === undefined) return next.handle();
    if (view.kind === 'http' && writesResponse(view.controller, view.handler)) return next.handle();
    if (policy.kind === 'value') {
      const key = pageKeyOf(view, policy);
      return 'bypass' in key ? next.handle() : this.caches.valuesOf(policy.namespace).handle(view, policy, key, next);
    }
    // Whole responses are an HTTP matter.
    if (view.kind !== 'http') return next.handle();
    const request = arrival?.asked ?? this.caches.asked(view, policy);
    if ('bypass' in request) return next.handle();
    const pages = this.caches.pagesOf(policy.namespace);
    const found = this.foundBefore(request, view, policy, arrival);
    const task = detachedTaskOf(view.request);
    return task instanceof DetachedFill
      ? pages.handleDetached(request, task, next)
      : pages.handle(request, next, found);
  }

  /**
   * Called when the guards of a handler with interceptors outside of this one have let a request in: finds what answers it, or begins to note
   * what they read. For {@link ResponseCacheGuard}.
   */
  arrive(context: ExecutionContext): true | Promise<true> {
    if (context.getType<string>() !== 'http' || this.caches.isOff) return true;
    takeArrival(context);
    const policy = this.policyOf(context);
    const view = requestViewOf(context);
    if (policy?.kind !== 'page' || view === undefined) return true;
    if (isUnsafe(view.method) || writesResponse(view.controller, view.handler)) return true;
    if (detachedTaskOf(view.request) instanceof DetachedFill || this.caches.keyedLate.has(policy)) {
      leaveArrival(view, { recording: noteReads(view, policy) });
      return true;
    }
    const request = this.caches.requests.of(view, policy);
    if ('bypass' in request) return true;
    const { primary } = request.place;
    const contexts = request.place.contexts?.variant;
    const leave = (found: Found): true => {
      leaveArrival(view, { primary, found, contexts, ...(!found.isAnswer && { recording: noteReads(view, policy) }) });
      return true;
    };
    const found = this.caches.pagesOf(policy.namespace).find(request);
    return found instanceof Promise ? found.then(leave) : leave(found);
  }

  /** What holds for the handler of a call; `undefined`: it is not cached. */
  policyOf(context: CallOf): CompiledPolicy | undefined {
    return this.caches.policies.of(context);
  }

  /** Tells a request what was read before, and what was found for it, unless another page is asked for by now. */
  private foundBefore(
    request: PageRequest,
    view: RequestView,
    policy: CompiledPolicy,
    arrival: Arrival | undefined,
  ): Found | undefined {
    if (this.caches.behindOthers.get(view.controller, view.handler) === undefined) return undefined;
    request.goOnNoting(arrival?.recording?.reads);
    if (arrival?.primary === request.place.primary)
      return arrival.contexts === request.place.contexts?.variant ? arrival.found : undefined;
    if (arrival === undefined || arrival.primary !== undefined) this.caches.keyedLate.add(policy);
    return undefined;
  }

  /**
   * A successful unsafe request makes what is stored for its URI, and for those it names, a miss (RFC 9111 4.4, RFC 9875). By what is sent in the
   * end: a filter may make a success of what is thrown, and a handler may answer by itself.
   */
  private invalidating(view: RequestView): void {
    const { method } = view;
    const target = uriOf(view);
    const headers = view.headers as Fields;
    holdAnswer(rawResponseOf(view.context.switchToHttp().getResponse()), (head) => {
      const { uris, groups } = invalidates({ method, headers }, head, target);
      const shared = this.caches.policies.sharesPaths ? new Set(uris.flatMap(sharedTags)) : [];
      const tags = [...uris.map(uriTag), ...shared, ...groups.map(groupTag)];
      return tags.length === 0 ? undefined : this.invalidate(tags);
    });
  }

  /** The request itself has succeeded; it must not be reported as failed. */
  private async invalidate(tags: readonly string[]): Promise<void> {
    try {
      await this.caches.anyCache.invalidateTags(tags);
    } catch (error) {
      this.logger.warn(`stored responses could not be invalidated: ${(error as Error).message}`);
    }
  }
}

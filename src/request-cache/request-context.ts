import type { OwnStorage } from '../core/own-storage.js';
import { RequestScope } from '../core/tiers/request.scope.js';
import { forceMissCheck, type ForceMissOptions, type ForceMissRequest } from './force-miss.js';
import { newScopes, removeScopes } from './request-at-hand.js';
import { carried, endAfter, nextOrder } from './scope-carrier.js';
import { ScopeOfRequest, type Ending, type OpenScope } from './scope-of-request.js';

export interface RequestContextOptions {
  /** `false`: no scope is ever opened for a request. */
  readonly requestTier: boolean;
  readonly forceMiss?: ForceMissOptions | undefined;
}

/** Knows the request scope of the running code. One per module instance, so that two applications in one process do not meet. */
export class RequestContext {
  /** Made by the first scope: of a request, a job, a lock. */
  private storage: OwnStorage<OpenScope> | undefined;
  readonly isEnabled: boolean;
  private isAwake: boolean;
  private readonly mayForceMiss: ((request: ForceMissRequest) => boolean) | undefined;

  constructor(options: RequestContextOptions) {
    this.isEnabled = options.requestTier;
    this.mayForceMiss = options.forceMiss && forceMissCheck(options.forceMiss);
    // Cached responses ask for forced misses, too.
    this.isAwake = this.isEnabled && this.canForceMiss;
  }

  /** Whether requests have no scopes, since nobody was seen yet who could read through one. */
  get isAsleep(): boolean {
    return this.isEnabled && !this.isAwake;
  }

  /** From the next request on there are scopes. Those under way go on without: whose they are is not known any more. */
  readonly wake = (): void => {
    this.isAwake = this.isEnabled;
  };

  /** Whether any request could ever skip tiers. */
  get canForceMiss(): boolean {
    return this.mayForceMiss !== undefined;
  }

  /** The innermost scope around the running code; `undefined` outside any, and after the request was answered. */
  readonly current = (): RequestScope | undefined => {
    if (this.storage === undefined && !this.isEnabled) return undefined;
    const own = this.storage?.getStore();
    const hand = carried();
    if (hand !== undefined && (own === undefined || hand.order > own.order)) {
      let scope = hand.scopes.get(this);
      if (scope === undefined) hand.scopes.set(this, (scope = new RequestScope(undefined, own?.scope?.learnsSince)));
      return scope;
    }
    const scope = own?.scope;
    return scope?.isOpen === true ? scope : undefined;
  };

  /** Runs `fn` in a fresh scope that ends when `fn` has returned or settled. Without a request tier it just runs `fn`. */
  run<T>(fn: () => T): T {
    if (!this.isEnabled) return fn();
    return this.enter(new RequestScope(undefined, this.current()?.learnsSince), fn);
  }

  /**
   * Runs `fn` inside a lock: what it reads through the cache was learned since. It keeps the request's own values. Inside, there is a
   * request tier in any case: it is how a reader knows.
   */
  readonly runLocked = <T>(fn: () => T): T => {
    const moment = performance.now();
    const around = this.current();
    return this.enter(around?.apart(moment) ?? new RequestScope(undefined, moment), fn);
  };

  /** No scope is looked for any more. A storage in use costs each promise of the process, for ever, on Node without AsyncContextFrame. */
  close(): void {
    if (this.storage === undefined) return;
    removeScopes(this.storage);
    this.storage.disable();
  }

  private enter<T>(scope: RequestScope, fn: () => T): T {
    const storage = (this.storage ??= newScopes());
    return endAfter(
      () => storage.run({ scope, order: nextOrder(), ofRequest: storage.getStore()?.ofRequest }, fn),
      () => scope.end(),
    );
  }

  /**
   * Opens the scope of an HTTP request; for `httpAdapter.use()`. It stays readable until the response has been sent or its connection has
   * closed, so exception filters and `finish` listeners still see it; what outlives that (a timer, a detached promise) does not.
   */
  readonly middleware = (request: unknown, response: Ending, next: () => void): void => {
    if (!this.isAwake) return next();
    this.storage ??= newScopes();
    const open = new ScopeOfRequest(nextOrder(), response, this.mayForceMiss, this.storage.getStore()?.ofRequest);
    open.request = request as ForceMissRequest;
    this.storage.run(open, next);
  };

  /**
   * As {@link middleware}, for Fastify's hook: behind middleware it only names the request, since guards see another object than that does.
   */
  arrive(request: object, response: Ending, next: () => void): void {
    const open = this.storage?.getStore();
    if (!(open instanceof ScopeOfRequest) || open.response !== response)
      return this.middleware(request, response, next);
    open.request = request as ForceMissRequest;
    next();
  }
}

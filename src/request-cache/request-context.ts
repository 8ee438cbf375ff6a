import { AsyncLocalStorage } from 'node:async_hooks';
import { RequestScope } from '../core/tiers/request.scope.js';
import { forceMissCheck, type ForceMissOptions, type ForceMissRequest } from './force-miss.js';
import { carried, endAfter, nextOrder } from './scope-carrier.js';
import { ScopeOfRequest, type Ending, type OpenScope } from './scope-of-request.js';

export interface RequestContextOptions {
  /** `false`: no scope is ever opened and no AsyncLocalStorage is made. */
  readonly requestTier: boolean;
  readonly forceMiss?: ForceMissOptions | undefined;
}

/** Knows the request scope of the running code. One per module instance, so that two applications in one process do not meet. */
export class RequestContext {
  /** Without a request tier it is made by the first lock. */
  private storage: AsyncLocalStorage<OpenScope> | undefined;
  readonly isEnabled: boolean;
  private readonly mayForceMiss: ((request: ForceMissRequest) => boolean) | undefined;

  constructor(options: RequestContextOptions) {
    this.isEnabled = options.requestTier;
    this.storage = options.requestTier ? new AsyncLocalStorage<OpenScope>() : undefined;
    this.mayForceMiss = options.forceMiss && forceMissCheck(options.forceMiss);
  }

  /** Whether any request could ever skip tiers. */
  get canForceMiss(): boolean {
    return this.mayForceMiss !== undefined;
  }

  /** The innermost scope around the running code; `undefined` outside any, and after the request was answered. */
  readonly current = (): RequestScope | undefined => {
    if (this.storage === undefined) return undefined;
    const own = this.storage.getStore();
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
    this.storage?.disable();
  }

  private enter<T>(scope: RequestScope, fn: () => T): T {
    const storage = (this.storage ??= new AsyncLocalStorage<OpenScope>());
    return endAfter(
      () => storage.run({ scope, order: nextOrder() }, fn),
      () => scope.end(),
    );
  }

  /**
   * Opens the scope of an HTTP request; for `httpAdapter.use()`. It stays readable until the response has been sent or its connection has
   * closed, so exception filters and `finish` listeners still see it; what outlives that (a timer, a detached promise) does not.
   */
  readonly middleware = (request: unknown, response: Ending, next: () => void): void => {
    const { storage, mayForceMiss } = this;
    if (storage === undefined || !this.isEnabled) return next();
    const open = new ScopeOfRequest(nextOrder(), response, mayForceMiss);
    open.request = request as ForceMissRequest;
    storage.run(open, next);
  };

  /** On adapters whose middleware sees another request object than guards do (Fastify): names the one guards will see. */
  recognise(request: unknown): void {
    const open = this.storage?.getStore();
    if (open instanceof ScopeOfRequest) open.request = request as ForceMissRequest;
  }
}

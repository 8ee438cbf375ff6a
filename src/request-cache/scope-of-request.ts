import { RequestScope } from '../core/tiers/request.scope.js';
import type { ForceMissRequest } from './force-miss.js';

/** As much of a response as tells when it is over. */
export interface Ending {
  /** Of node's HTTP/1 responses; others do not tell. */
  readonly closed?: boolean;
  once(event: 'close', listener: () => void): unknown;
}

/** One HTTP request. */
export interface RequestAtHand {
  /** The one whose handler has sent it, where it was sent within the process (`inject()`). */
  readonly around: RequestAtHand | undefined;
}

/** A scope that code runs in. */
export interface OpenScope {
  /** Of two scopes around the running code, the later is the inner one. */
  readonly order: number;
  /** `undefined`, or not open any more, when it is over. */
  readonly scope: RequestScope | undefined;
  /** The scope of the HTTP request around it. */
  readonly ofRequest: RequestAtHand | undefined;
}

/** The scope of an HTTP request: made for who asks first, since many requests (hits of pages among them) have nobody who does. */
export class ScopeOfRequest implements OpenScope, RequestAtHand {
  /** The request as guards see it. */
  request: ForceMissRequest | undefined;
  private made: RequestScope | undefined;

  constructor(
    readonly order: number,
    readonly response: Ending,
    private readonly mayForceMiss: ((request: ForceMissRequest) => boolean) | undefined,
    readonly around: RequestAtHand | undefined,
  ) {
    if (typeof response.closed !== 'boolean') this.made = this.make();
  }

  get ofRequest(): this {
    return this;
  }

  get scope(): RequestScope | undefined {
    if (this.made === undefined && this.response.closed === false) this.made = this.make();
    return this.made?.isOpen === true ? this.made : undefined;
  }

  private make(): RequestScope {
    const { mayForceMiss } = this;
    const isForced = mayForceMiss && (() => this.request !== undefined && mayForceMiss(this.request));
    const scope = new RequestScope(isForced);
    this.response.once('close', () => scope.end());
    return scope;
  }
}

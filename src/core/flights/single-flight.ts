import type { Clock } from '../clock/clock.js';
import type { LoadPlan } from '../freshness/load-plan.js';
import type { Found } from '../tiers/found.js';
import { NotLoaded } from './batch-load.js';
import { coldError, isCold } from './cold-error.js';
import { Flight, type Patience } from './flight.js';
import type { FlightTask, ReadThrough } from './read-through.js';

/** What one caller asks for. */
export interface FlightRequest extends Omit<FlightTask, 'flight'> {
  /** Set when it has a flight of its own: a copy of all this would cost more than the rest of taking off. */
  flight: Flight | undefined;
  readonly signal: AbortSignal | undefined;
  /** Does not join a flight that took off before this moment: it may have read what is old by now. */
  readonly notBefore?: number | undefined;
}

/** How long a caller is content with a flight, and what is called when it is no longer. */
interface Ride extends Pick<Patience, 'softMs' | 'coldMs'> {
  readonly gaveUp?: () => void;
}

/** Callers who join within this time share one answer; so much may be missing from a `waitBudget`. */
const ONE_MOMENT_MS = 1;

/** Concurrent callers of a key in this process share one flight. */
export class SingleFlight {
  private readonly underway: Flight[] = [];

  constructor(
    private readonly clock: Clock,
    private readonly readThrough: ReadThrough,
    /** What near tiers have is as new as what the store has. */
    private readonly isHeard: () => boolean,
  ) {}

  /** Flights that have not landed, detached ones included. */
  get size(): number {
    return this.underway.length;
  }

  /** The result, or what this caller's policies give it before. */
  fly(request: FlightRequest): Promise<Found> {
    const { signal } = request;
    if (signal?.aborted) return Promise.reject(signal.reason as Error);
    const current = request.forced ? undefined : request.namespace.flights.get(request.address.local);
    const isRecent = current !== undefined && current.since >= (request.notBefore ?? -Infinity);
    if (current && isRecent && current.isOpen) return this.join(current, request);
    const flight = this.takeOff(request);
    flight.board();
    const { plan } = request;
    const canWait = plan.softTimeoutMs === Infinity && plan.eagerRefresh === 1 && signal === undefined;
    if (canWait) return flight.promise;
    flight.promise.catch(ignore);
    return this.ride(flight, request, { softMs: plan.softTimeoutMs, coldMs: Infinity });
  }

  /** Refreshes in the background, unless somebody is at it. No caller that comes and goes ends it. */
  refresh(request: FlightRequest): void {
    if (request.namespace.flights.get(request.address.local)) return request.onIdle?.();
    const flight = this.takeOff(request);
    flight.board();
    flight.promise.catch(ignore);
  }

  /** Resolves when everything under way has landed. */
  async drain(): Promise<void> {
    while (this.underway.length > 0) await Promise.allSettled(this.underway.map((flight) => flight.promise));
  }

  abortAll(reason: unknown): void {
    for (const flight of this.underway) flight.abort(reason);
  }

  /** Thousands may come at one moment; those who would act alike are one caller from here on. */
  private join(flight: Flight, request: FlightRequest): Promise<Found> {
    const { namespace, plan, signal, onIdle, notBefore } = request;
    namespace.counters.coalesced++;
    onIdle?.();
    flight.board();
    if (signal !== undefined || onIdle !== undefined || notBefore !== undefined) return this.accompany(flight, request);
    const now = this.clock.now();
    const { joint } = flight;
    if (joint !== undefined && areAlike(joint.plan, plan) && now - joint.since < ONE_MOMENT_MS) return joint.found;
    const found = this.accompany(flight, request);
    flight.joint = { plan, since: now, found };
    return found;
  }

  /** Who comes later is given a stale value at once, and otherwise acts by its `onCold`: `load` means not in this process, too. */
  private async accompany(flight: Flight, request: FlightRequest): Promise<Found> {
    const { plan } = request;
    const coldMs = { wait: plan.waitBudgetMs, throw: 0, load: Infinity }[plan.onCold];
    const giveUpAt = this.clock.now() + coldMs;
    let hasGivenUp = false;
    const patience = { softMs: 0, coldMs, gaveUp: (): unknown => (hasGivenUp = true) };
    let leftMs: number;
    try {
      const found = await this.ride(flight, request, patience);
      // Otherwise the other caller was content with less. A flight that goes on has given what was fresh.
      const isEnough = plan.staleWhileLoading || found.tier === 'loader' || !flight.hasLanded;
      if (isEnough || this.clock.now() < found.freshUntil) return found;
      leftMs = giveUpAt - this.clock.now();
    } catch (error) {
      leftMs = giveUpAt - this.clock.now();
      // Not by the time alone: timers come up to a millisecond early.
      if (hasGivenUp || !(isOthers(error, leftMs) || this.isExtra(flight, request, error))) throw error;
    }
    const rest = { ...plan, waitBudgetMs: Math.max(0, Math.min(plan.waitBudgetMs, leftMs)) };
    // What was near when this caller came may have been deleted since.
    return this.fly({ ...request, plan: rest, near: undefined });
  }

  /** The failure of a forced refresh, which ordinary callers would have done without, is not theirs; unless it counts for all, for a while. */
  private isExtra({ isForced, aborted }: Flight, { namespace, address }: FlightRequest, error: unknown): boolean {
    return isForced && !aborted && namespace.failures.find(address.local)?.error !== error;
  }

  private ride(flight: Flight, request: FlightRequest, { softMs, coldMs, gaveUp }: Ride): Promise<Found> {
    const { signal, namespace, address, plan } = request;
    const takesStale = plan.staleWhileLoading;
    const cold = (): Error => {
      gaveUp?.();
      return coldError(namespace, address.encoded, plan.leaseMs);
    };
    const answer = flight.answer({ softMs, coldMs, takesStale, cold });
    if (signal === undefined) return answer;
    return new Promise<Found>((resolve, reject) => {
      const abort = (): void => {
        reject(signal.reason as Error);
        flight.leave(signal.reason);
      };
      signal.addEventListener('abort', abort, { once: true });
      answer.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
    });
  }

  private takeOff(request: FlightRequest): Flight {
    const { namespace, address, near } = request;
    const { flights } = namespace;
    const flight = new Flight(this.clock, request.forced);
    const before = flights.get(address.local);
    if (before) before.detached = true;
    flights.set(address.local, flight);
    flight.place = this.underway.push(flight) - 1;
    request.flight = flight;
    flight.promise = this.readThrough.run(request as FlightTask, this.land);
    if (near && !request.forced && this.isHeard()) flight.offer(near);
    return flight;
  }

  private readonly land = ({ namespace, address, flight, onIdle }: FlightTask): void => {
    if (namespace.flights.get(address.local) === flight) namespace.flights.delete(address.local);
    const last = this.underway.pop() as Flight;
    if (last !== flight) {
      this.underway[flight.place] = last;
      last.place = flight.place;
    }
    flight.land();
    onIdle?.();
  };
}

/** As far as what one does who joins a flight depends on it. */
function areAlike(one: LoadPlan, other: LoadPlan): boolean {
  if (one === other) return true;
  const { onCold, waitBudgetMs, staleWhileLoading } = one;
  return (
    onCold === other.onCold && waitBudgetMs === other.waitBudgetMs && staleWhileLoading === other.staleWhileLoading
  );
}

/** It was another caller that would not wait (any longer), or another one's batch that left the key out. */
function isOthers(error: unknown, leftMs: number): boolean {
  return error instanceof NotLoaded || (isCold(error) && leftMs > 0);
}

/** Of a rejection that nobody is left to await. */
function ignore(): void {}

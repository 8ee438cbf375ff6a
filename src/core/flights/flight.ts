import type { Clock } from '../clock/clock.js';
import type { LoadPlan } from '../freshness/load-plan.js';
import type { Found } from '../tiers/found.js';

/** How long one caller is content with a flight that is loading. */
export interface Patience {
  /** Until it takes the substitute, if there is one. */
  readonly softMs: number;
  /** Until it gives up, if there is none. */
  readonly coldMs: number;
  /** Whether it takes a value that is stale. One that is only due for an early refresh, everybody takes. */
  readonly takesStale: boolean;
  /** What it gives up with. */
  readonly cold: () => Error;
}

/** Takes the place of a landed flight's promise: who still knows the flight must not keep its value. */
const LANDED = new Promise<never>(() => undefined);
const NOBODY: Array<() => void> = [];

/** The answer to callers who came at one moment and would act alike. */
export interface JointAnswer {
  readonly plan: LoadPlan;
  readonly since: number;
  readonly found: Promise<Found>;
}

/** One read of a key through to its loader, shared by all concurrent callers in this process. */
export class Flight {
  promise: Promise<Found> = LANDED;
  /** The key was invalidated since it took off: it still answers its own callers, but takes no new ones and stores nothing here. */
  detached = false;
  /** Set when changes elsewhere are no longer heard of: what it has from before may be served so long, and no longer. */
  goodUntil = Infinity;
  /** A stale value, or one due for an early refresh: what callers may have instead of the result. */
  substitute: Found | undefined;
  /** Why nobody wants the result any more. */
  aborted: { readonly reason: unknown } | undefined;
  /** Given to who joined last. */
  joint: JointAnswer | undefined;
  /** Where it stands among those under way. */
  place = 0;
  private isLoading = false;
  private callers = 0;
  private listeners: Array<() => void> = [];

  /** When it took off. */
  readonly since: number;

  constructor(
    private readonly clock: Clock,
    /** It looks at nothing that is there. */
    readonly isForced: boolean,
  ) {
    this.since = clock.now();
  }

  get hasLanded(): boolean {
    return this.promise === LANDED;
  }

  land(): void {
    this.promise = LANDED;
    this.joint = undefined;
    this.listeners = NOBODY;
  }

  offer(found: Found): void {
    this.substitute = found;
    this.tell();
  }

  /** The load begins, here or elsewhere, or queues for its turn. */
  depart(): void {
    if (this.isLoading) return;
    this.isLoading = true;
    this.tell();
  }

  abort(reason: unknown): void {
    if (this.aborted) return;
    this.aborted = { reason };
    this.detached = true;
    this.tell();
  }

  /** Whether one who comes now may have its result. */
  get isOpen(): boolean {
    return !this.detached && (this.goodUntil === Infinity || this.clock.now() < this.goodUntil);
  }

  /** Calls `listener` whenever something about the flight has changed, until it lands. */
  listen(listener: () => void): void {
    this.listeners.push(listener);
  }

  /** One more caller counts on the result. */
  board(): void {
    this.callers++;
  }

  /** A caller has gone away; the last one takes the flight's purpose with it. */
  leave(reason: unknown): void {
    if (--this.callers === 0) this.abort(reason);
  }

  /** What one caller gets: the result or, when its patience ends before, the substitute or an error. */
  answer(patience: Patience): Promise<Found> {
    // Who is answered at once leaves nothing behind: thousands may, while one load runs.
    const now = this.substituteFor(patience);
    if (now && (patience.softMs === 0 || this.isFresh(now))) return Promise.resolve(now);
    if (!now && this.isLoading && patience.coldMs === 0) return Promise.reject(patience.cold());
    return new Promise<Found>((resolve, reject) => {
      let waitsFor: 'substitute' | 'load' | undefined;
      let cancel: (() => void) | undefined;
      const look = (): void => {
        const substitute = this.substituteFor(patience);
        const next = substitute ? 'substitute' : this.isLoading ? 'load' : undefined;
        if (next === undefined || next === waitsFor) return;
        waitsFor = next;
        cancel?.();
        const give = (): void => {
          if (!substitute) return reject(patience.cold());
          // It may have come to its end meanwhile.
          if (this.isThere(substitute)) resolve(substitute);
          else look();
        };
        const ms = substitute ? (this.isFresh(substitute) ? 0 : patience.softMs) : patience.coldMs;
        if (ms === 0) give();
        else if (ms !== Infinity) cancel = this.clock.after(ms, give);
      };
      const settled = (act: () => void): void => {
        cancel?.();
        act();
      };
      this.promise.then(
        (found) => settled(() => resolve(found)),
        (error: unknown) => settled(() => reject(error as Error)),
      );
      this.listen(look);
      look();
    });
  }

  private substituteFor({ takesStale }: Patience): Found | undefined {
    const { substitute } = this;
    if (!substitute || !this.isThere(substitute)) return undefined;
    return takesStale || this.isFresh(substitute) ? substitute : undefined;
  }

  private isThere(found: Found): boolean {
    return this.clock.now() < Math.min(found.expiresAt, this.goodUntil);
  }

  private isFresh(found: Found): boolean {
    return this.clock.now() < found.freshUntil;
  }

  private tell(): void {
    for (const listener of this.listeners) listener();
  }
}

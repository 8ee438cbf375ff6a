/** One request cannot hold more than this; a stream or a socket may be a "request" for hours. */
export const MAX_SCOPE_ENTRIES = 10_000;

/** Namespace, then key. */
export type ScopePart = Map<string, Map<string, unknown>>;

/**
 * What one request (or job) remembers. The engine keeps its own part apart from what the application puts there by hand, so that neither
 * can read, overwrite or clear the other's.
 */
export class RequestScope {
  /** The request tier: namespace, encoded key, what the engine keeps for it. Written through {@link keep}. */
  readonly entries: ScopePart = new Map();
  /** The application's own values (RequestCacheService): namespace, encoded key, value. Written through {@link keep}. */
  readonly values: ScopePart;

  /** Raised by each change that is made in here: what was asked for before may be older. Of all keys, for few requests read while they write. */
  changes = 0;
  #open = true;
  #forced = false;
  readonly #forceMiss: (() => boolean) | undefined;
  readonly #outer: RequestScope | undefined;

  /**
   * @param forceMiss asked when something is read, not before: guards, which find out who the caller is, run after middleware.
   * @param learnsSince set inside a lock: nothing that this process learned before that moment of its clock may be read
   */
  constructor(
    forceMiss?: () => boolean,
    readonly learnsSince?: number,
    outer?: RequestScope,
  ) {
    this.#forceMiss = outer ? () => outer.forced : forceMiss;
    this.#outer = outer;
    this.values = outer?.values ?? new Map();
  }

  /**
   * A part of this request that begins with what was learned since `moment`: it shares the application's own values and nothing of the
   * request tier. When it ends, this one forgets its request tier, too: something may have been written.
   */
  apart(moment: number): RequestScope {
    return new RequestScope(undefined, moment, this);
  }

  /** `false` as soon as the request has been answered: work that outlives it must not go on reading what it knew. */
  get isOpen(): boolean {
    return this.#open && this.#outer?.isOpen !== false;
  }

  /**
   * Whether reads of this request must skip the memory and remote tiers. Asked again while the answer is no, since the guard that
   * recognises the caller may itself read the cache; a yes holds to the end of the request.
   */
  get forced(): boolean {
    return (this.#forced ||= this.#forceMiss?.() === true);
  }

  /** Number of entries in both parts. */
  get size(): number {
    let size = 0;
    for (const part of [this.entries, this.values]) for (const map of part.values()) size += map.size;
    return size;
  }

  /** Remembers a value in one of the two parts, at the cost of the oldest ones when the scope is full. */
  keep(part: ScopePart, namespace: string, key: string, value: unknown): void {
    if (!this.isOpen) return;
    let map = part.get(namespace);
    if (map === undefined) part.set(namespace, (map = new Map()));
    if (!map.has(key)) this.#makeRoom(map);
    map.set(key, value);
  }

  /** Forgets both parts. */
  clear(): void {
    this.entries.clear();
    this.values.clear();
  }

  /** Forgets everything, and takes nothing any more. */
  end(): void {
    this.#open = false;
    if (this.#outer === undefined) return this.clear();
    this.entries.clear();
    this.#outer.changes++;
    this.#outer.entries.clear();
  }

  /** Drops the oldest other namespace, engine's part first (it can be read again); a namespace alone loses its oldest entries. */
  #makeRoom(current: Map<string, unknown>): void {
    while (this.size >= MAX_SCOPE_ENTRIES) {
      if (dropOldest(this.entries, current) || dropOldest(this.values, current)) continue;
      const oldest = current.keys().next();
      if (oldest.done) return;
      current.delete(oldest.value);
    }
  }
}

function dropOldest(part: ScopePart, except: Map<string, unknown>): boolean {
  for (const [namespace, map] of part) {
    if (map === except || map.size === 0) continue;
    part.delete(namespace);
    return true;
  }
  return false;
}

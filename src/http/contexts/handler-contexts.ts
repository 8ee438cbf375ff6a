import { randomBytes } from 'node:crypto';
import { storageWatch, type Storage } from './storage-watch.js';
import { isTracingStorage } from './tracing-storage.js';

/** Storages in which some requests have a store when their guards have let them in. */
const filled = new WeakSet<Storage>();

/** Storages that handlers have found empty while pages were made, of which it is not known that any request fills them. */
class EmptyStorages {
  /** Who knows them: they have no name by which another process, or another application of this one, could be told. */
  readonly knower = randomBytes(9).toString('base64url');
  private readonly refs = new Set<WeakRef<Storage>>();
  private readonly known = new WeakSet<Storage>();

  add(storage: Storage): void {
    if (this.known.has(storage)) return;
    this.known.add(storage);
    this.refs.add(new WeakRef(storage));
  }

  *[Symbol.iterator](): Generator<Storage> {
    for (const ref of this.refs) {
      const storage = ref.deref();
      if (storage === undefined) this.refs.delete(ref);
      else yield storage;
    }
  }

  /** Whether one of them has a store for the request at hand. */
  get isOneFilled(): boolean {
    for (const storage of this) {
      if (storageWatch().storeOf(storage) === undefined) continue;
      filled.add(storage);
      return true;
    }
    return false;
  }
}

/** Of all handlers whose pages may be another one's. */
const shared = new EmptyStorages();

/** For which requests a page is that was made where a storage was empty. */
export interface ContextVariant {
  /** `undefined`: it is not known what the request will come with, so that no such page is for it. */
  readonly variant: string | undefined;
}

/** Nothing is stored for any such request. */
export const UNKNOWN_CONTEXTS: ContextVariant = { variant: undefined };

/**
 * What this process knows of the AsyncLocalStorages that a handler reads. One that is empty is an input only if it is filled for other
 * requests; so are storages of transactions empty, which nobody fills but the handler. Until one is seen filled, pages made where it was
 * empty are kept; then they are not for a request that comes with a store in it.
 */
export class HandlerContexts implements ContextVariant {
  private readonly empty: EmptyStorages;

  /**
   * @param ignored storages that do not change the response
   * @param sharesPages whether its key leaves out which handler it is
   */
  constructor(
    private readonly ignored: ReadonlySet<object>,
    sharesPages = false,
  ) {
    this.empty = sharesPages ? shared : new EmptyStorages();
  }

  /** Whether the handler has found a storage empty in which the request at hand has a store: what others were answered is not for it. */
  get isApart(): boolean {
    return this.empty.isOneFilled;
  }

  /**
   * Pages made where a storage was empty are, for requests without any store, everybody's. One that comes with stores may have a store right
   * there: it is answered with what was made here, where it is known which storages were meant ({@link isApart}).
   */
  get variant(): string {
    const watch = storageWatch();
    for (const storage of watch.storages())
      if (!this.isIgnored(storage) && watch.storeOf(storage) !== undefined) return this.empty.knower;
    return '';
  }

  /** Those that the handler has found empty here. */
  emptyStorages(): Iterable<Storage> {
    return this.empty;
  }

  isIgnored(storage: Storage): boolean {
    return this.ignored.has(storage) || isTracingStorage(storage);
  }

  /** The handler has read a storage that is empty. @returns whether that tells its request from others */
  isInput(storage: Storage): boolean {
    if (filled.has(storage)) return true;
    this.empty.add(storage);
    return false;
  }
}

/** A request has a store there that its handler was given. */
export function noteFilled(storage: Storage): void {
  filled.add(storage);
}

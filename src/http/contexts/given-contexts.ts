import { requestAtHand } from '../../request-cache/request-at-hand.js';
import type { RequestAtHand } from '../../request-cache/scope-of-request.js';
import { noteFilled, type HandlerContexts } from './handler-contexts.js';
import { storageWatch, type Ear, type Storage } from './storage-watch.js';

/** Who was given a store of one storage. */
interface Holders {
  readonly byStore: Map<unknown, Set<GivenContexts>>;
  /** Those who began when nobody knew of the storage; none, if it was filled under watch. */
  readonly before: Set<GivenContexts>;
}

/** Finds who was given what is read. */
class Holdings implements Ear {
  private readonly active = new Set<GivenContexts>();
  /** Nobody knows of which request they are. */
  private readonly unnamed = new Set<GivenContexts>();
  private readonly ofRequest = new WeakMap<object, Set<GivenContexts>>();
  private readonly ofStorage = new WeakMap<Storage, Holders>();

  begin(holder: GivenContexts): void {
    this.active.add(holder);
    if (holder.request !== undefined) addTo(this.ofRequest, holder.request, holder);
    else this.unnamed.add(holder);
    for (const [storage, store] of holder.stores) addTo(this.holders(storage).byStore, store, holder);
    storageWatch().ears.add(this);
  }

  end(holder: GivenContexts): void {
    this.active.delete(holder);
    this.unnamed.delete(holder);
    if (holder.request !== undefined) removeFrom(this.ofRequest, holder.request, holder);
    for (const [storage, store] of holder.stores) removeFrom(this.holders(storage).byStore, store, holder);
    if (this.active.size === 0) storageWatch().ears.delete(this);
  }

  read(storage: Storage, store: unknown, isNew: boolean): void {
    if (store === undefined) return this.readEmpty(storage);
    const { byStore, before } = this.holders(storage);
    if (isNew) for (const holder of this.active) before.add(holder);
    for (const holder of byStore.get(store) ?? []) holder.read(storage);
    for (const holder of before)
      if (this.active.has(holder)) holder.read(storage);
      else before.delete(holder);
  }

  /** A page is served that was made where these were empty, and perhaps others: to whoever is at it now that is reading them. */
  served(empty: Iterable<Storage>): void {
    if (this.active.size === 0) return;
    const holders = [...this.atHand()];
    for (const holder of holders) holder.readOther();
    for (const storage of empty) for (const holder of holders) holder.readEmpty(storage);
  }

  private readEmpty(storage: Storage): void {
    for (const holder of this.atHand()) holder.readEmpty(storage);
  }

  /** That there is no store does not tell whose request it is. */
  private *atHand(): Generator<GivenContexts> {
    let request: RequestAtHand | undefined = requestAtHand();
    if (request === undefined) return yield* this.active;
    yield* this.unnamed;
    for (; request !== undefined; request = request.around) yield* this.ofRequest.get(request) ?? [];
  }

  private holders(storage: Storage): Holders {
    let holders = this.ofStorage.get(storage);
    if (holders === undefined) {
      holders = { byStore: new Map(), before: new Set() };
      this.ofStorage.set(storage, holders);
    }
    return holders;
  }
}

const holdings = new Holdings();

/** To be called when what was made where a storage was empty is served: who has asked for it may be making a page of that. */
export function noteServed(contexts: HandlerContexts): void {
  holdings.served(contexts.emptyStorages());
}

/**
 * What middleware and guards have left in AsyncLocalStorages for the code that runs from here on. Reading it is reading an input of the
 * request. Reads are told apart by the store that they give: what the code itself opens later, and what other requests read, is not meant.
 */
export class GivenContexts {
  readonly request = requestAtHand();
  readonly stores: ReadonlyMap<Storage, unknown>;
  private isNoted = false;

  /** @param note called when an input was read, once for each of the two */
  constructor(
    private readonly contexts: HandlerContexts,
    private readonly note: (input: 'context' | 'no-context') => void,
  ) {
    const watch = storageWatch();
    const stores = new Map<Storage, unknown>();
    for (const storage of watch.storages()) {
      const store = watch.storeOf(storage);
      if (store === undefined) continue;
      stores.set(storage, store);
      noteFilled(storage);
    }
    this.stores = stores;
    holdings.begin(this);
  }

  read(storage: Storage): void {
    if (this.isNoted || this.contexts.isIgnored(storage)) return;
    this.isNoted = true;
    this.note('context');
  }

  readEmpty(storage: Storage): void {
    if (this.isNoted || this.stores.has(storage) || this.contexts.isIgnored(storage)) return;
    if (this.contexts.isInput(storage)) this.read(storage);
    else this.note('no-context');
  }

  /** A storage that is empty, and that this process does not know. */
  readOther(): void {
    if (!this.isNoted) this.note('no-context');
  }

  /** As if all there are had been read, those included that nobody has filled yet. */
  readAll(): void {
    this.readOther();
    for (const storage of storageWatch().storages())
      if (this.stores.has(storage)) this.read(storage);
      else this.readEmpty(storage);
  }

  /** Idempotent. */
  stop(): void {
    holdings.end(this);
  }
}

interface Index<K> {
  get(key: K): Set<GivenContexts> | undefined;
  set(key: K, holders: Set<GivenContexts>): unknown;
  delete(key: K): unknown;
}

function addTo<K>(index: Index<K>, key: K, holder: GivenContexts): void {
  const holders = index.get(key);
  if (holders === undefined) index.set(key, new Set([holder]));
  else holders.add(holder);
}

function removeFrom<K>(index: Index<K>, key: K, holder: GivenContexts): void {
  const holders = index.get(key);
  if (holders?.delete(holder) && holders.size === 0) index.delete(key);
}

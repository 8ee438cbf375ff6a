import { AsyncLocalStorage } from 'node:async_hooks';
import { isOwnStorage } from '../../core/own-storage.js';

/** Any AsyncLocalStorage of the process. */
export type Storage = AsyncLocalStorage<unknown>;

/** Hears what is read of storages. */
export interface Ear {
  /** @param isNew nobody was seen to fill the storage: it may have been filled at any time */
  read(storage: Storage, store: unknown, isNew: boolean): void;
}

/** Where the watch of this process is found, by whichever copy of this package comes second. */
const WATCH = Symbol.for('nestjs-tiered-cache:storage-watch:1');

type Method = (this: Storage, ...args: never[]) => unknown;
type Callback = (...args: unknown[]) => unknown;

interface Watched {
  getStore(this: Storage): unknown;
  run(this: Storage, store: unknown, fn: Callback, ...args: unknown[]): unknown;
  enterWith(this: Storage, store: unknown): void;
  [WATCH]?: StorageWatch;
}

/**
 * Knows the storages that are used in this process, and tells who listens what is read of them. Node says neither: the methods that all
 * storages share are wrapped, once for good. While nobody listens they only do what they did.
 */
export class StorageWatch {
  readonly ears = new Set<Ear>();
  /** What is read now is of no interest. */
  isDeaf = false;
  private readonly seen = new WeakSet<Storage>();
  private readonly refs = new Set<WeakRef<Storage>>();

  /** @param storeOf what a storage holds for the running code; subclasses may show another */
  constructor(readonly storeOf: (storage: Storage) => unknown) {}

  /** Foreign storages that were filled since the watch began, or found filled, and are still there. */
  *storages(): Generator<Storage> {
    for (const ref of this.refs) {
      const storage = ref.deref();
      if (storage === undefined) this.refs.delete(ref);
      else yield storage;
    }
  }

  /** @returns whether it was new */
  learn(storage: Storage): boolean {
    if (this.seen.has(storage)) return false;
    this.seen.add(storage);
    if (!isOwnStorage(storage)) this.refs.add(new WeakRef(storage));
    return true;
  }

  heard(storage: Storage, store: unknown): void {
    if (isOwnStorage(storage)) return;
    const isNew = store !== undefined && this.learn(storage);
    for (const ear of this.ears) ear.read(storage, store, isNew);
  }
}

const prototype = AsyncLocalStorage.prototype as unknown as Watched;

/** The one of this process; begins to watch when it is first asked for. */
export function storageWatch(): StorageWatch {
  return prototype[WATCH] ?? install();
}

/** Runs `fn`, which returns at once, without anybody hearing what it reads. */
export function unheard<T>(fn: () => T): T {
  const watch = prototype[WATCH];
  if (watch === undefined) return fn();
  const before = watch.isDeaf;
  watch.isDeaf = true;
  try {
    return fn();
  } finally {
    watch.isDeaf = before;
  }
}

function install(): StorageWatch {
  const { getStore, run, enterWith } = prototype;
  const watch = new StorageWatch((storage) => getStore.call(storage));
  Object.defineProperty(prototype, WATCH, { value: watch });
  replace('getStore', function () {
    const store = getStore.call(this);
    if (watch.ears.size > 0 && !watch.isDeaf) watch.heard(this, store);
    return store;
  });
  replace('enterWith', function (store) {
    watch.learn(this);
    return enterWith.call(this, store);
  });
  replace('run', function (store, fn, ...args) {
    watch.learn(this);
    if (watch.ears.size === 0 || typeof fn !== 'function') return run.call(this, store, fn, ...args);
    // It looks by itself what it is to put back.
    const before = watch.isDeaf;
    watch.isDeaf = true;
    const heard = function (this: unknown, ...given: unknown[]): unknown {
      watch.isDeaf = before;
      return Reflect.apply(fn, this, given) as unknown;
    };
    try {
      return run.call(this, store, heard, ...args);
    } finally {
      watch.isDeaf = before;
    }
  });
  return watch;
}

function replace<N extends 'getStore' | 'run' | 'enterWith'>(name: N, replacement: Watched[N]): void {
  const descriptor = Object.getOwnPropertyDescriptor(prototype, name) as PropertyDescriptor;
  const { length } = descriptor.value as Method;
  Object.defineProperty(replacement, 'name', { value: name, configurable: true });
  Object.defineProperty(replacement, 'length', { value: length, configurable: true });
  Object.defineProperty(prototype, name, { ...descriptor, value: replacement });
}

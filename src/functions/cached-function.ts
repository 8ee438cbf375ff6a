import 'reflect-metadata';
import type { LoadOptions } from '../core/cache.options.js';
import { makePlan } from '../core/freshness/load-plan.js';
import { returnsObservable } from '../method-decorator.js';
import type { Method } from '../replace-method.js';
import { checkCachedOptions, type CachedOptions } from './cached.options.js';

/** Where a class keeps what `@Cached()` knows of its methods. */
const FUNCTIONS: unique symbol = Symbol('nestjs-tiered-cache:functions');

interface Home {
  [FUNCTIONS]?: Map<PropertyKey, CachedFunction>;
}

/** What `@Cached()` knows of a method, in whatever application it will run. */
export class CachedFunction {
  /** For messages. */
  readonly label: string;
  /** Where an object keeps what this function is on it. */
  readonly slot: symbol;
  /** What the engine needs to know; the rest is ours. */
  readonly loadOptions: LoadOptions;
  readonly returnsObservable: boolean;
  /** It declares no parameter: whatever a framework calls it with does not count. */
  readonly takesNothing: boolean;

  /** @throws CacheUsageError `invalid_option`, `unknown_option`, `invalid_duration` */
  constructor(
    /** The prototype whose method it is. */
    readonly home: object,
    readonly property: string | symbol,
    readonly original: Method,
    readonly options: CachedOptions,
  ) {
    this.label = `${home.constructor.name}.${String(property)}`;
    this.slot = Symbol(`nestjs-tiered-cache:${this.label}`);
    const where = `@Cached() of ${this.label}`;
    checkCachedOptions(options, where);
    const { prefix: _p, name: _n, namespace: _s, key: _k, returns, tags, ...load } = options;
    this.loadOptions = typeof tags === 'function' || tags === undefined ? load : { ...load, tags };
    makePlan(this.loadOptions, undefined, `${where}: `);
    this.returnsObservable = returnsObservable(home, property, returns);
    const parameters: unknown = Reflect.getOwnMetadata('design:paramtypes', home, property);
    this.takesNothing = Array.isArray(parameters) && parameters.length === 0;
  }

  /** Remembers it with its class, for {@link findFunction}. */
  register(): void {
    const home = this.home as Home;
    if (!Object.hasOwn(home, FUNCTIONS))
      Object.defineProperty(home, FUNCTIONS, { value: new Map(), enumerable: false });
    home[FUNCTIONS]?.set(this.property, this);
  }

  /**
   * Its part of the keys on an object. A cached method that was overridden and is called through `super` goes by another name than the
   * one that overrides it: else it would wait for itself.
   */
  nameOn(self: object): string {
    if (this.options.name !== undefined) return this.options.name;
    const type = self.constructor.name;
    return ownerOf(self, this.property) === this.home ? `${type}.${String(this.property)}` : `${type}.${this.label}`;
  }
}

/** The cached function behind a method of an object, be it inherited; `undefined` if that method is not cached. */
export function findFunction(self: object, property: PropertyKey): CachedFunction | undefined {
  const owner = ownerOf(self, property) as Home | undefined;
  return owner && Object.hasOwn(owner, FUNCTIONS) ? owner[FUNCTIONS]?.get(property) : undefined;
}

/** All cached functions of the objects of a class, those that are overridden included: `super` may call them. */
export function functionsOf(prototype: object): CachedFunction[] {
  const found: CachedFunction[] = [];
  for (let home: Home | null = prototype; home !== null; home = prototypeOf(home))
    if (Object.hasOwn(home, FUNCTIONS)) found.push(...(home[FUNCTIONS]?.values() ?? []));
  return found;
}

function ownerOf(self: object, property: PropertyKey): object | undefined {
  for (let home = prototypeOf(self); home !== null; home = prototypeOf(home))
    if (Object.hasOwn(home, property)) return home;
  return undefined;
}

function prototypeOf(value: object): object | null {
  return Object.getPrototypeOf(value) as object | null;
}

import type { CacheEngine } from '../core/cache-engine.js';
import { CacheUsageError } from '../core/errors/cache.error.js';
import { BoundFunction } from './bound-function.js';
import type { CachedFunction } from './cached-function.js';

const DEFAULT_NAMESPACE = 'default';

type Class = object['constructor'];

/** Who uses which keys. */
interface Claim {
  readonly label: string;
  readonly namespace: string;
  readonly head: readonly string[];
}

/**
 * The cached functions of one application, each bound to a class of objects when it is first called. Nest gives it to every object with
 * `@Cached()` methods; nothing of an application is kept outside of it.
 */
export class FunctionRegistry {
  private readonly bound = new Map<CachedFunction, Map<Class, BoundFunction>>();
  private readonly claims: Claim[] = [];

  constructor(private readonly engine: CacheEngine) {}

  /** @throws CacheUsageError `duplicate_function`, `unnamed_class`, `unknown_namespace`, `invalid_duration`, `invalid_option` */
  bind(fn: CachedFunction, self: object): BoundFunction {
    return this.bound.get(fn)?.get(self.constructor) ?? this.bindNew(fn, self);
  }

  private bindNew(fn: CachedFunction, self: object): BoundFunction {
    const { prefix, name, namespace = DEFAULT_NAMESPACE } = fn.options;
    const type = self.constructor;
    const property = String(fn.property);
    if (type.name === '' && name === undefined) {
      throw new CacheUsageError(
        'unnamed_class',
        `a class without a name has a cached ${property}: give @Cached() a "name"`,
      );
    }
    const label = `${type.name || '(a class)'}.${property}`;
    const own = fn.nameOn(self);
    const head = prefix === undefined ? [own] : [prefix, own];
    const cache = this.engine.namespace(namespace);
    const rival = this.claims.find((claim) => claim.namespace === namespace && overlap(claim.head, head));
    if (rival) throw duplicate(rival, { label, namespace, head });
    const bound = new BoundFunction(fn, cache, label, head);
    this.claims.push({ label, namespace, head });
    const classes = this.bound.get(fn) ?? new Map<Class, BoundFunction>();
    this.bound.set(fn, classes.set(type, bound));
    return bound;
  }
}

/** Whether a key of one could be a key of the other: arguments follow the head. */
function overlap(one: readonly string[], other: readonly string[]): boolean {
  const shared = Math.min(one.length, other.length);
  return one.slice(0, shared).every((part, i) => part === other[i]);
}

function duplicate(rival: Claim, claim: Claim): CacheUsageError {
  const [there, here] = [rival, claim].map(({ label, head }) => `${label} with ${JSON.stringify(head)}`);
  return new CacheUsageError(
    'duplicate_function',
    `two cached functions would use the same keys: ${there} and ${here}; give one of them a "name" or "prefix" of its own in @Cached()`,
  );
}

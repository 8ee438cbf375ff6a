import { defer, isObservable, mergeMap, Observable } from 'rxjs';
import { injectProperty, returnsObservable, type AsyncReturn, type Takes } from '../../method-decorator.js';
import { replaceMethod, type Method } from '../../replace-method.js';
import { DeclaredInvalidation } from './declared-invalidation.js';
import { DeclaredInvalidations } from './declared-invalidations.js';
import { registerInvalidation } from './declared-methods.js';
import { checkInvalidatesCacheOptions, type InvalidatesCacheOptions } from './invalidates-cache.options.js';

const INVALIDATIONS: unique symbol = Symbol('nestjs-tiered-cache:invalidations');

interface Host {
  readonly [INVALIDATIONS]?: DeclaredInvalidations;
}

/** Carries it out for one call. */
type Invalidate = (result: unknown) => Promise<void>;

/**
 * Invalidates what a method of a provider, or a handler of any transport, has changed: when it has succeeded, and before its caller (over
 * HTTP: the client) is told, so that who reads next reads anew. Nothing is invalidated when it fails. An Observable has succeeded when it
 * completes; its last value is the result. Several on one method add up. While the store is down the method still succeeds.
 *
 * The method has to be the one that commits: an interceptor or a caller that commits later lets others load the old value again meanwhile.
 * On an object that Nest did not make, the method just runs.
 * @throws CacheUsageError `invalid_option`, `unknown_option`, `invalid_key`, `invalid_entity`, at definition time
 * @example
 * @InvalidatesCache({ tags: (book: Book) => [`book:${book.id}`], keys: [['bestsellers']] })
 * async rename(id: number, title: string): Promise<Book> {}
 * @example @InvalidatesCache({ entities: [{ entity: 'Course', id: (course: Course) => course.id }] })
 */
export function InvalidatesCache<A extends unknown[] = unknown[], T = unknown>(
  options: InvalidatesCacheOptions<A, T>,
): <M extends (...args: never[]) => AsyncReturn<T>>(
  target: object,
  property: string | symbol,
  descriptor: TypedPropertyDescriptor<M> & Takes<A, M, 'functions must take the arguments of the method'>,
) => void {
  return (target: object, property: string | symbol, descriptor?: PropertyDescriptor) => {
    const original = descriptor?.value as Method | undefined;
    if (descriptor === undefined || typeof original !== 'function' || typeof target === 'function')
      throw new TypeError(`@InvalidatesCache() is for methods of objects; ${String(property)} is none`);
    const label = `@InvalidatesCache() of ${target.constructor.name}.${String(property)}`;
    checkInvalidatesCacheOptions(options, label);
    const declared = new DeclaredInvalidation(label, options as unknown as InvalidatesCacheOptions);
    registerInvalidation(target, declared);
    injectProperty(target, INVALIDATIONS, DeclaredInvalidations);
    const around =
      options.when !== 'before' ? after : returnsObservable(target, property, options.returns) ? beforeEach : before;
    replaceMethod(descriptor, function (this: Host | undefined, ...args: unknown[]): unknown {
      const invalidations = this?.[INVALIDATIONS];
      const run = (): unknown => original.apply(this, args);
      return invalidations ? around(run, (result) => invalidations.run(declared, this, result, args)) : run();
    });
  };
}

function after(run: () => unknown, invalidate: Invalidate): unknown {
  const returned = run();
  return isObservable(returned) ? completed(returned, invalidate) : settled(returned, invalidate);
}

async function settled(returned: unknown, invalidate: Invalidate): Promise<unknown> {
  const result = await returned;
  // Nest takes this from a handler, too.
  if (isObservable(result)) return completed(result, invalidate);
  await invalidate(result);
  return result;
}

/** Its end waits for the invalidation; values pass at once. */
function completed(source: Observable<unknown>, invalidate: Invalidate): Observable<unknown> {
  return new Observable((subscriber) => {
    let last: unknown;
    return source.subscribe({
      next: (value) => {
        last = value;
        subscriber.next(value);
      },
      error: (error: unknown) => subscriber.error(error),
      complete: () => {
        invalidate(last).then(
          () => subscriber.complete(),
          (error: unknown) => subscriber.error(error),
        );
      },
    });
  });
}

async function before(run: () => unknown, invalidate: Invalidate): Promise<unknown> {
  await invalidate(undefined);
  return run();
}

/** Before each subscription: it is then that an Observable begins. */
function beforeEach(run: () => unknown, invalidate: Invalidate): Observable<unknown> {
  return defer(() => invalidate(undefined)).pipe(mergeMap(() => run() as Observable<unknown>));
}

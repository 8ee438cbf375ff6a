import { isObservable, Observable, take, toArray } from 'rxjs';
import { CacheUsageError } from '../core/errors/cache.error.js';

const FOUND: Record<number, string> = { 0: 'nothing', 2: 'more than once' };

/**
 * The one value of what a method returned as its Observable. It has to complete: only then it is known to be the only one.
 * @throws CacheUsageError `invalid_return`
 */
export function onlyValue(returned: unknown, signal: AbortSignal, label: string): Promise<unknown> {
  if (!isObservable(returned))
    throw invalid(`${label} was to return an Observable and returned a ${typeof returned}; leave out "returns"`);
  return new Promise((resolve, reject) => {
    const subscription = returned.pipe(take(2), toArray()).subscribe({
      next: (values) => {
        if (values.length === 1) resolve(values[0]);
        else reject(invalid(`the Observable of ${label} emitted ${FOUND[values.length]}; a cached one has one value`));
      },
      error: reject,
    });
    const leave = (): void => {
      subscription.unsubscribe();
      reject(signal.reason as Error);
    };
    if (signal.aborted) leave();
    else signal.addEventListener('abort', leave, { once: true });
    subscription.add(() => signal.removeEventListener('abort', leave));
  });
}

/** A cold Observable of what `load` resolves to. To unsubscribe is to go away as a caller. */
export function singleEmission(load: (signal: AbortSignal) => Promise<unknown>): Observable<unknown> {
  return new Observable((subscriber) => {
    const controller = new AbortController();
    let isSettled = false;
    load(controller.signal).then(
      (value) => {
        isSettled = true;
        subscriber.next(value);
        subscriber.complete();
      },
      (error: unknown) => {
        isSettled = true;
        subscriber.error(error);
      },
    );
    return () => {
      if (!isSettled) controller.abort();
    };
  });
}

/** @throws CacheUsageError `invalid_return` for an Observable that nobody has announced */
export function noObservable(returned: unknown, label: string): unknown {
  if (isObservable(returned))
    throw invalid(`${label} returned an Observable; say so: @Cached({ returns: 'observable' })`);
  return returned;
}

function invalid(message: string): CacheUsageError {
  return new CacheUsageError('invalid_return', message);
}

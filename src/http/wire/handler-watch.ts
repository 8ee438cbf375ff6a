import { Observable, type MonoTypeOperatorFunction } from 'rxjs';
import type { ResponseTap } from './tap.options.js';

/** How long an answer to a client that has left may take to be written after its handler is done (outer interceptors may still work on it). */
const WRITES_WITHIN_MS = 5_000;

/**
 * Settles the tap when nothing will be written any more. Nest sends nothing to a client that has left while an Observable or a stream of the
 * handler was under way, and a handler that fails after it has begun to write gets its half response ended in good order. To be put on
 * `next.handle()`.
 */
export function watchHandler<T>(tap: ResponseTap): MonoTypeOperatorFunction<T> {
  return (source) =>
    new Observable<T>((subscriber) => {
      let last: T | undefined;
      let over = false;
      const inner = source.subscribe({
        next: (value) => {
          last = value;
          subscriber.next(value);
        },
        error: (error) => {
          over = true;
          if (tap.begun && !tap.ended) tap.fail('aborted', error);
          whenClientLeft(tap, WRITES_WITHIN_MS);
          subscriber.error(error);
        },
        complete: () => {
          over = true;
          whenClientLeft(tap, isStream(last) ? 0 : WRITES_WITHIN_MS);
          subscriber.complete();
        },
      });
      return () => {
        inner.unsubscribe();
        if (!over) whenClientLeft(tap, 0);
      };
    });
}

function whenClientLeft(tap: ResponseTap, graceMs: number): void {
  if (tap.ended) return;
  const giveUp = () => {
    if (!tap.begun) tap.fail('aborted');
  };
  const wait = () => (graceMs === 0 ? setImmediate(giveUp) : setTimeout(giveUp, graceMs)).unref();
  if (tap.response.destroyed) wait();
  else tap.response.once('close', () => tap.begun || wait());
}

/** What Nest reads from while it sends: StreamableFile, web Response, ReadableStream, Node's streams, async iterable. */
export function isStream(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { getStream, getReader, pipe, arrayBuffer } = value as Record<string, unknown>;
  // A Response has an `arrayBuffer()`, also without a body; so has a Blob.
  const methods = [getStream, getReader, pipe, arrayBuffer];
  return methods.some((method) => typeof method === 'function') || Symbol.asyncIterator in value;
}

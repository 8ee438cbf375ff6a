import { RequestNotSentError } from '../../locks/contract/lock-store.js';

/**
 * How much later than its lease a lock may still be there, in seconds. Memcached ends an item when its clock, which counts whole seconds,
 * has moved on by as many: up to one second early. And its clock moves a millisecond late each second, so that every quarter of an hour it
 * jumps two at once, and what was written in the second before lives another one less.
 */
export const GRACE_SECONDS = 2;
/** Beyond it the server takes a time to live for a date. */
const LONGEST_SECONDS = 30 * 24 * 3600;

/**
 * The time to live that does not end before a lease of `leaseMs` does, in seconds.
 * @throws RequestNotSentError for more than 30 days
 */
export function secondsOf(operation: string, leaseMs: number): number {
  const seconds = Math.ceil(leaseMs / 1000) + GRACE_SECONDS;
  if (seconds <= LONGEST_SECONDS) return seconds;
  throw new RequestNotSentError('memcached', operation, 'refused', 'a lease must be shorter than 30 days');
}

/** What may be left of a lease, from the seconds that are left of its item: 1 s or more, and wrong by up to 1 s. */
export function leftMs(seconds = '0'): number {
  return 1000 * Math.max(1, Number(seconds) - GRACE_SECONDS);
}

import { durationMs, type Duration } from '../../core/clock/duration.js';
import { fail, fields, isCount, isDuration, isSpan, listOf, orFalse, type Check } from '../../option-checks.js';
import type { PurgeSettings } from './purge-queue.js';
import type { PurgeSink } from './purge-sink.js';

/** What is told to the caches in front of the application when tags are invalidated. */
export interface PurgeOptions {
  /** Each gets every tag that this application invalidates, in a queue of its own. Default: none. */
  sinks: readonly PurgeSink[];
  /**
   * Every tag is purged once more after so long: a response that was made before an invalidation may reach the cache in front after the
   * purge, and would stay there. To be longer than a response takes. `false`: never. Default 2 s.
   */
  repeatAfter?: Duration | false;
  /** How often a purge is tried, with pauses from 250 ms to 30 s, before its tags are given up and reported as an error. Default 10. */
  attempts?: number;
  /** How long one attempt may take. Default 5 s. */
  timeout?: Duration;
}

const isSink: Check = (value, field) => {
  const sink = value as Partial<PurgeSink> | null | undefined;
  if (typeof sink?.name !== 'string' || typeof sink.purge !== 'function')
    fail(field, 'a sink such as purgeByHeader({ url }), or an object with a name and purge(tags, signal)', value);
};

/** For `forRoot({ purge })`. */
export const isPurgeOptions: Check = fields(
  { sinks: listOf(isSink), repeatAfter: orFalse(isDuration), attempts: isCount, timeout: isSpan },
  ['sinks'],
);

/** @throws CacheUsageError `invalid_duration` */
export function purgeSettings({
  repeatAfter = '2s',
  attempts = 10,
  timeout = '5s',
}: Partial<PurgeOptions>): PurgeSettings {
  return {
    attempts,
    timeoutMs: durationMs(timeout, 'purge.timeout'),
    repeatAfterMs: repeatAfter === false ? undefined : durationMs(repeatAfter, 'purge.repeatAfter'),
  };
}

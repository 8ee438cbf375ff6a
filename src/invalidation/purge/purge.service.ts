import { Logger } from '@nestjs/common';
import { systemClock, type Clock } from '../../core/clock/clock.js';
import { CacheUsageError } from '../../core/errors/cache.error.js';
import { counted } from '../../core/errors/counted.js';
import { PurgeQueue, type PurgeCounters, type PurgeReport } from './purge-queue.js';
import { purgeSettings, type PurgeOptions } from './purge.options.js';

/**
 * Tells the caches in front of the application (`forRoot({ purge: { sinks } })`) of every tag that this application invalidates. That
 * happens by itself; inject it to purge what nobody invalidates here, or to wait for it at the end of a script.
 */
export class PurgeService {
  private readonly queues: ReadonlyMap<string, PurgeQueue>;
  private readonly logger = new Logger('CachePurge');

  /** @throws CacheUsageError `invalid_duration`, `invalid_option` */
  constructor(options: PurgeOptions = { sinks: [] }, clock: Clock = systemClock) {
    const settings = purgeSettings(options);
    const report: PurgeReport = {
      failed: (sink, count, attempt, error) =>
        this.logger.warn(
          `${sink}: a purge of ${counted(count, 'tag')} has failed, attempt ${attempt}: ${(error as Error)?.message}`,
        ),
      lost: (sink, count, why) =>
        this.logger.error(
          `${sink}: ${counted(count, 'tag')} given up (${why}): responses that carry one stay until they expire`,
        ),
    };
    const names = options.sinks.map(({ name }) => name);
    const twice = names.find((name, i) => names.indexOf(name) !== i);
    if (twice !== undefined)
      throw new CacheUsageError('invalid_option', `purge.sinks: two are called "${twice}"; give one another name`);
    this.queues = new Map(options.sinks.map((sink) => [sink.name, new PurgeQueue(sink, clock, settings, report)]));
  }

  /** Every response in front that carries one of the tags is purged, soon and at least once. Never waits, never fails. */
  purge(tags: readonly string[]): void {
    for (const queue of this.queues.values()) queue.add(tags);
  }

  /** Resolves when nothing is left to purge; what fails meanwhile is tried no more. */
  async drain(): Promise<void> {
    await Promise.all([...this.queues.values()].map((queue) => queue.drain()));
  }

  /** Ends all purges; {@link drain} first. The module does, when the application ends. */
  close(): void {
    for (const queue of this.queues.values()) queue.close();
  }

  /** By the name of the sink, since the start. */
  stats(): Readonly<Record<string, PurgeCounters>> {
    return Object.fromEntries([...this.queues].map(([name, queue]) => [name, queue.counters]));
  }
}

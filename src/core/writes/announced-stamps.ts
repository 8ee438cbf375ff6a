import { hash } from 'node:crypto';
import type { StampOptions, WhenDown } from '../cache.options.js';
import { durationMs } from '../clock/duration.js';
import { CacheUsageError } from '../errors/cache.error.js';
import type { StoreGuard } from '../outage/store-guard.js';
import { assertMayWait } from './assert-may-wait.js';

/** Characters of a digest: 96 bits. */
const DIGEST = 16;

/** A stamp and its grace, as the store is told of them. */
export interface StampAnnouncement {
  /** Any text is as good to compare, and none of it is shown. */
  readonly digest: string;
  readonly graceMs: number;
}

/** @throws CacheUsageError `invalid_option`, `invalid_duration` */
export function announcementOf(stamp: unknown, options: StampOptions): StampAnnouncement {
  if (typeof stamp !== 'string' || stamp === '') {
    throw new CacheUsageError(
      'invalid_option',
      `stamp must be a non-empty string; got ${stamp === '' ? 'an empty one' : `a ${typeof stamp}`}`,
    );
  }
  const digest = hash('sha256', stamp, 'base64url').slice(0, DIGEST);
  return { digest, graceMs: durationMs(options.grace ?? 0, 'grace') };
}

/**
 * Stamps that are changed at run time. The store keeps each in a token that is part of every namespace's: a change is an invalidation, heard
 * and waiting like any. The one of a namespace or of the application that was asked for last is the one that holds.
 */
export class AnnouncedStamps {
  /** Per token: how often it was called for. */
  private readonly calls = new Map<string, number>();

  constructor(
    private readonly guard: StoreGuard,
    private readonly now: () => number,
    /** The token was, or may have been, replaced. */
    private readonly changed: (name: string) => void,
  ) {}

  /**
   * @param token of a namespace or of the application
   * @returns whether the store has it; otherwise it waits
   */
  async announce(token: string, { digest, graceMs }: StampAnnouncement, whenDown: WhenDown): Promise<boolean> {
    const call = (this.calls.get(token) ?? 0) + 1;
    this.calls.set(token, call);
    const graceUntil = this.now() + graceMs;
    try {
      await this.guard.run('stamp', this.guard.budget(), (store) => store.stamp(token, digest, graceMs));
      return true;
    } catch (error) {
      assertMayWait(error, whenDown);
      // A later call has told, or will tell, the store more than this one.
      if (this.calls.get(token) === call) this.guard.queue.addStamp(token, { stamp: digest, graceUntil });
      return false;
    } finally {
      this.changed(token);
    }
  }
}

import type { ExecutionContext } from '@nestjs/common';
import type { Duration } from '../core/clock/duration.js';
import type { FillOrder } from './fill-order.js';
import type { Page } from './page.js';
import type { Place } from './page-lookup.js';
import type { InputName } from './policy/input-name.js';

/** One request, as far as the response cache has to do with it. */
export interface PageRequest {
  readonly context: ExecutionContext;
  readonly place: Place;
  /** As {@link place}, where it is also known who may keep the answer downstream. */
  readonly placeToFill: Place;
  readonly method: string;
  /** Labels known before the handler runs. */
  readonly tags: readonly string[];
  readonly maxBytes: number;
  readonly maxVariants: number;
  readonly keepToConfirmMs: number;
  readonly cacheName: string;
  /** Whether a page is sent without middleware, so that it has to keep the fields that middleware sets. */
  readonly keepsAllFields: boolean;
  /** Whether handlers are asked with the validators of what is stored. */
  readonly confirms: boolean;
  readonly backOff: Duration;
  readonly hardTimeout: Duration | 'forever';
  readonly surrogateKeys: string | undefined;
  /** @param value what the handler returned, as far as it is known */
  tagsOf(page: Parameters<FillOrder['tagsOf']>[0], value: unknown): readonly string[];
  shouldCache(page: Parameters<FillOrder['shouldCache']>[0], value: unknown): boolean;
  /** `false`: interceptors outside of the cache's have seen the request, and nobody knows what they read. It may be answered, it fills nothing. */
  readonly mayFill: boolean;
  /**
   * From here on interceptors outside of the cache's may go on reading, while this one waits: what they read is noted with what they have.
   * @param reads what they have read so far; undefined if nobody has looked
   */
  goOnNoting(reads: Set<InputName> | undefined): void;
  /** What others were answered is not for it: a storage is filled that their handler has found empty. It runs its own, and fills nothing. */
  readonly isApart: boolean;
  /** To be called when it is answered with a page. */
  noteServed(page: Page): void;
  /** Nothing is filled, or not yet: the request is again as it came. Idempotent. */
  release(): void;
  /** Shows the handler what it may see while it fills an entry, and keeps an eye on what it reads. */
  guardInputs(confirm: Readonly<Record<string, string>>): InputGuard;
}

export interface InputGuard {
  /** What was read so far besides what the key covers. */
  readonly reads: FillOrder['reads'];
  /** Whether a header field is as the client has sent it. */
  readonly isAsArrived: (name: string) => boolean;
  /** The answer is made: what is read from now on has no part in it. The request is again as it came. */
  readonly done: () => void;
}

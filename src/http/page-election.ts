import type { CacheService } from '../core/cache.service.js';
import type { CallOptions } from '../core/cache.options.js';
import { LoadTimeoutError } from '../core/errors/cache.error.js';
import type { LoadRun } from '../core/flights/load-run.js';
import type { Judgement } from '../http-semantics/judge.js';
import { ABANDONED, NOT_SHARED, type Held } from './page.js';
import { OriginError } from './origin.error.js';
import type { Located } from './page-lookup.js';
import type { PageRequest } from './page-request.js';

/** Somebody has to run the handler: this request, or another one, whose answer is then here. */
export type Turn = { readonly held: Held } | Lead;

export interface Lead {
  readonly run: LoadRun;
  readonly settle: (held: Held) => void;
  readonly fail: (error: unknown) => void;
}

/** The right, and duty, to run the handler for all who wait for it here and in other processes; or what came of somebody else's run. */
export async function elect(
  cache: CacheService,
  { tags, backOff, hardTimeout }: PageRequest,
  { key }: Located,
  judged: Judgement | undefined,
): Promise<Turn> {
  const options: CallOptions<Held> = {
    tags,
    backOff,
    hardTimeout,
    staleWhileLoading: false,
    staleIfError: judged?.isUsableOnError === true,
    forceFresh: judged?.because === 'request',
  };
  try {
    return await new Promise<Turn>((resolve, reject) => {
      const load = (context: unknown): Promise<Held> =>
        new Promise<Held>((settle, fail) => resolve({ run: context as LoadRun, settle, fail }));
      cache.getOrSet<Held>(key, load, options).then((held) => resolve({ held }), reject);
    });
  } catch (error) {
    // Not ours: whoever led has told its client. This request has its own try.
    if (error instanceof OriginError || error instanceof LoadTimeoutError) return { held: NOT_SHARED };
    throw error;
  }
}

/** To the next one who waits. */
export function pass({ run, settle }: Lead): void {
  run.skip();
  settle(ABANDONED);
}

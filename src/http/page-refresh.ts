import type { HttpServer } from '@nestjs/common';
import type { CacheService } from '../core/cache.service.js';
import type { CallOptions } from '../core/cache.options.js';
import type { LoadRun } from '../core/flights/load-run.js';
import { NOT_SHARED, type Held } from './page.js';
import type { Located } from './page-lookup.js';
import type { PageRequest } from './page-request.js';
import type { PageRun } from './page-run.js';
import { detachedRequestOf, dispatchDetached } from './wire/index.js';

/** What a refresh without a client carries through the application to its own interceptor. */
export class DetachedFill {
  /** Set there. */
  run: PageRun | undefined;

  constructor(
    readonly load: LoadRun,
    readonly located: Located,
    readonly primary: string,
  ) {}
}

/** One refresh for all who are sent the stale page, without a client: a fresh run through the whole application. */
export function refreshPage(cache: CacheService, adapter: HttpServer, request: PageRequest, located: Located): void {
  const { tags, backOff, hardTimeout, place } = request;
  // A page is made of what GET answers, whoever finds that it is stale.
  const detached = { ...detachedRequestOf(request.context.switchToHttp().getRequest()), method: 'GET' };
  const load = async (context: unknown): Promise<Held> => {
    const run = context as LoadRun;
    const task = new DetachedFill(run, located, place.primary);
    const outcome = await dispatchDetached(adapter, { request: detached, task, signal: run.signal });
    if (task.run) return task.run.conclude(outcome);
    run.skip();
    return NOT_SHARED;
  };
  const options: CallOptions<Held> = { tags, backOff, hardTimeout, softTimeout: 0 };
  cache.getOrSet<Held>(located.key, load, options).catch(() => undefined);
}

import type { CallHandler, HttpServer } from '@nestjs/common';
import { concatAll, from, of, type Observable } from 'rxjs';
import type { CacheService } from '../core/cache.service.js';
import { answer } from '../http-semantics/answer.js';
import type { CacheStatus } from '../http-semantics/fields/cache-status.js';
import { judge } from '../http-semantics/judge.js';
import { storedOf, type NearAnswer } from './near-answer.js';
import { PageLookup, type Located, type Place } from './page-lookup.js';
import type { PageRequest } from './page-request.js';
import type { DetachedFill } from './page-refresh.js';
import { PageRun } from './page-run.js';
import { PageTurns } from './page-turns.js';
import { ReadyAnswers } from './ready-answers.js';
import { answer as replay, writeAtOnce } from './wire/index.js';

/** As `@Header()` keeps it. */
export interface StaticField {
  readonly name: string;
  readonly value: string | (() => string);
}

/** What is stored for a request. */
export interface Found {
  readonly near?: NearAnswer;
  readonly located?: Located;
  /** The handler need not run. */
  readonly isAnswer: boolean;
}

/** Answers requests with stored pages, and stores the pages that handlers make. */
export class ResponseCache {
  private readonly lookup: PageLookup;
  private ready: ReadyAnswers | undefined;

  constructor(
    private readonly cache: CacheService,
    private readonly adapter: () => HttpServer,
  ) {
    this.lookup = new PageLookup(cache);
  }

  /** @param found what was found before the interceptors outside of the cache's ran */
  handle(request: PageRequest, next: CallHandler, found?: Found): Observable<unknown> {
    const { context, method, place, cacheName } = request;
    const near = found?.near ?? this.near(place, method, cacheName);
    if (near && !request.isApart) {
      request.release();
      request.noteServed(near.page);
      return of(replay(this.adapter(), context, storedOf(near, method)));
    }
    return from(this.far(request, next, found?.located)).pipe(concatAll());
  }

  /**
   * Sends what there is to be sent at once, where Nest has not yet set what the handler's decorators say. `false`: there is nothing, and the
   * response is as it was.
   */
  sendNear(request: PageRequest, decorated: readonly StaticField[]): boolean {
    const { context, method, place, cacheName } = request;
    const near = this.near(place, method, cacheName);
    if (near === undefined || request.isApart) return false;
    const response = context.switchToHttp().getResponse<object>();
    const fields = decorated.map(({ name, value }) => [name, typeof value === 'function' ? value() : value] as const);
    for (const [name, value] of fields) this.adapter().setHeader(response, name, value);
    request.noteServed(near.page);
    writeAtOnce(response, storedOf(near, method));
    return true;
  }

  /** What there is for a request, as far as that decides whether its handler will run. */
  find(request: PageRequest): Found | Promise<Found> {
    const near = this.near(request.place, request.method, request.cacheName);
    if (near) return { near, isAnswer: true };
    const { headers, semantics } = request.place;
    return this.lookup.far(request.place).then((located) => {
      const { hit } = located;
      const verdict = hit && judge(hit.page.stored, headers, hit.now, semantics).verdict;
      return { located, isAnswer: verdict === 'fresh' || verdict === 'stale' };
    });
  }

  /** What there is to be sent at once: the page is in the memory tier, and fresh. */
  near(place: Place, method: string, cacheName: string): NearAnswer | undefined {
    const hit = this.lookup.near(place)?.hit;
    if (hit === undefined || judge(hit.page.stored, place.headers, hit.now, place.semantics).verdict !== 'fresh')
      return undefined;
    const { page, now } = hit;
    const status: CacheStatus = { cache: cacheName, hit: true, detail: 'memory' };
    this.ready ??= new ReadyAnswers(status);
    const ready = this.ready.of(page, now, method, place.headers);
    if (ready) return { page, made: ready };
    const options = { now, length: page.body.length, status };
    return { page, made: answer(page.stored, page.headers, { method, headers: place.headers }, options) };
  }

  /** A request that was sent by {@link refresh}: it only fills. */
  handleDetached(request: PageRequest, task: DetachedFill, next: CallHandler): Observable<unknown> {
    // Another user, another tenant: whatever is answered now has nothing to do with the page that is to be refreshed.
    if (request.place.primary !== task.primary || !request.mayFill) {
      request.release();
      return next.handle();
    }
    const { cache } = this;
    const { load, located } = task;
    const purpose = { isUsableOnError: true, because: 'stale' } as const;
    task.run = new PageRun(request, { cache, adapter: this.adapter(), load, located, purpose });
    return task.run.start(next).handled;
  }

  private async far(request: PageRequest, next: CallHandler, found: Located | undefined): Promise<Observable<unknown>> {
    const { cache, lookup } = this;
    try {
      return await new PageTurns({ cache, lookup, adapter: this.adapter() }, request, next).answer(found);
    } finally {
      request.release();
    }
  }
}

import { GatewayTimeoutException, HttpException } from '@nestjs/common';
import type { CallHandler, HttpServer } from '@nestjs/common';
import { concatAll, from, of, type Observable } from 'rxjs';
import type { CacheService } from '../core/cache.service.js';
import type { LoadRun } from '../core/flights/load-run.js';
import { answer, type Answer } from '../http-semantics/answer.js';
import { formatCacheStatus, type CacheStatus } from '../http-semantics/fields/cache-status.js';
import { isShareable, judge, judgeMiss, type Judgement } from '../http-semantics/judge.js';
import { bodyOf, type Failed, type Page } from './page.js';
import { elect, pass, type Lead } from './page-election.js';
import { ReadyAnswers } from './ready-answers.js';
import { keyOfVariant, PageLookup, type Hit, type Located, type Place } from './page-lookup.js';
import type { PageRequest } from './page-request.js';
import { refreshPage, type DetachedFill } from './page-refresh.js';
import { PageRun, type Purpose } from './page-run.js';
import { answer as replay, rawResponseOf, writeAtOnce, type Answer as Stored } from './wire/index.js';

/**
 * A vary that is learned while a request waits makes it look again, and so does a leader that fails. More often than this something is odd, and
 * it goes on alone; or the handler is broken, and it need not be shown once more.
 */
const MAX_LOOKS = 4;

/** A stored page, and the response made of it. */
export interface NearAnswer {
  readonly page: Page;
  readonly made: Answer;
}

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
    if (near) {
      request.release();
      return of(replay(this.adapter(), context, storedOf(near, method)));
    }
    return from(this.look(request, next, found?.located)).pipe(concatAll());
  }

  /**
   * Sends what there is to be sent at once, where Nest has not yet set what the handler's decorators say. `false`: there is nothing, and the
   * response is as it was.
   */
  sendNear({ context, method, place, cacheName }: PageRequest, decorated: readonly StaticField[]): boolean {
    const near = this.near(place, method, cacheName);
    if (near === undefined) return false;
    const response = context.switchToHttp().getResponse<object>();
    const fields = decorated.map(({ name, value }) => [name, typeof value === 'function' ? value() : value] as const);
    for (const [name, value] of fields) this.adapter().setHeader(response, name, value);
    writeAtOnce(response, storedOf(near, method));
    return true;
  }

  /** What there is for a request, as far as that decides whether its handler will run. */
  find(request: PageRequest): Found | Promise<Found> {
    const near = this.near(request.place, request.method, request.cacheName);
    if (near) return { near, isAnswer: true };
    return this.lookup.far(request.place).then((located) => {
      const verdict = located.hit && this.judged(request, located.hit).verdict;
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
    task.run = this.runOf(request, task.load, task.located, { isUsableOnError: true, because: 'stale' });
    return task.run.start(next).handled;
  }

  private async look(
    request: PageRequest,
    next: CallHandler,
    found: Located | undefined,
  ): Promise<Observable<unknown>> {
    try {
      return await this.turns(request, next, found);
    } finally {
      request.release();
    }
  }

  private async turns(
    request: PageRequest,
    next: CallHandler,
    found: Located | undefined,
  ): Promise<Observable<unknown>> {
    let first = found;
    let waited = false;
    let failed: Failed | undefined;
    for (let looks = 0; looks < MAX_LOOKS; looks++) {
      const located = first ?? (await this.lookup.far(request.place));
      first = undefined;
      const { hit } = located;
      const judged = hit && this.judged(request, hit);
      const isForbidden = judged
        ? judged.verdict === 'gateway-timeout'
        : judgeMiss(request.place.headers, request.place.semantics) === 'gateway-timeout';
      if (isForbidden) throw new GatewayTimeoutException('not in the cache, and the request is only-if-cached');
      if (hit && judged && (judged.verdict === 'fresh' || judged.verdict === 'stale')) {
        if (judged.isRefreshDue) refreshPage(this.cache, this.adapter(), request, located);
        return of(this.send(request, hit, { hit: true, ...(hit.tier && { detail: hit.tier }) }));
      }
      // What is asked for is less than what could be stored; but the answer to a HEAD may confirm, or refute, what is.
      const isLess = request.method === 'GET' ? !hit && 'range' in request.place.headers : !(hit && request.confirms);
      if (isLess || !request.mayFill) return next.handle();
      // Whoever waited and has left makes nothing any more: nobody would ask for it.
      if (hasLeft(request)) return of(undefined);
      const because = fwdOf(located, judged);
      const turn = await elect(this.cache, request, located, judged);
      if ('run' in turn) {
        if (hasLeft(request)) {
          pass(turn);
          return of(undefined);
        }
        const isUsableOnError = judged?.isUsableOnError === true;
        return this.lead(request, next, turn, located, { isUsableOnError, because });
      }
      waited = true;
      const { held } = turn;
      const isOwnFailure = held.kind === 'failed' && keyOfVariant(request.place, held.names) === held.variant;
      failed = isOwnFailure ? held : undefined;
      if (held.kind === 'not-shared') break;
      // Each of those who wait leaves, fails, or makes it: this ends.
      if (held.kind === 'abandoned' || (held.kind === 'failed' && !isOwnFailure)) looks--;
      if (held.kind !== 'page' || !this.lookup.matches(held, request.place)) continue;
      // The stale page, held over, or the one that was made while this request waited.
      const isHeldOver = hit?.page.stored.receivedAt === held.stored.receivedAt;
      const now = isHeldOver ? hit.now : held.stored.receivedAt;
      const isAllowed = isHeldOver ? judged?.isUsableOnError : this.isShareable(request, held);
      if (!isAllowed) break;
      return of(this.send(request, { page: held, tier: 'loader', now }, { fwd: because, collapsed: true }));
    }
    // Nothing of what others were answered: it may name them.
    if (failed) throw new HttpException('the handler keeps failing', failed.status);
    if (waited) this.setStatus(request, { fwd: 'miss', collapsed: false });
    return next.handle();
  }

  private judged({ place }: PageRequest, { page, now }: Hit): Judgement {
    return judge(page.stored, place.headers, now, place.semantics);
  }

  private isShareable({ place }: PageRequest, { stored }: Page): boolean {
    return isShareable(stored, place.headers, stored.receivedAt, place.semantics);
  }

  private lead(
    request: PageRequest,
    next: CallHandler,
    turn: Lead,
    located: Located,
    purpose: Purpose,
  ): Observable<unknown> {
    try {
      const run = this.runOf(request, turn.run, located, purpose);
      const { tapped, handled } = run.start(next);
      tapped.finished.then((outcome) => run.conclude(outcome)).then(turn.settle, turn.fail);
      return handled;
    } catch (error) {
      turn.fail(error);
      throw error;
    }
  }

  private runOf(request: PageRequest, load: LoadRun, located: Located, purpose: Purpose): PageRun {
    return new PageRun(request, { cache: this.cache, adapter: this.adapter(), load, located, purpose });
  }

  private send(request: PageRequest, { page, now }: Hit, status: Omit<CacheStatus, 'cache'>): unknown {
    const { context, method, place, cacheName } = request;
    const made = answer(
      page.stored,
      page.headers,
      { method, headers: place.headers },
      {
        now,
        length: page.body.length,
        status: { cache: cacheName, ...status },
      },
    );
    return replay(this.adapter(), context, storedOf({ page, made }, method));
  }

  private setStatus({ context, cacheName }: PageRequest, status: Omit<CacheStatus, 'cache'>): void {
    const response = context.switchToHttp().getResponse<object>();
    this.adapter().setHeader(response, 'cache-status', formatCacheStatus({ cache: cacheName, ...status }));
  }
}

/** A HEAD is told the length of what a GET would be sent. */
function storedOf({ page, made: { status, headers, body } }: NearAnswer, method: string): Stored {
  const isHead = method === 'HEAD' && status === page.stored.status;
  const bytes = isHead || body === 'full' ? page.body : bodyOf(page, body).body;
  return bytes === undefined ? { status, headers } : { status, headers, body: bytes };
}

function hasLeft({ context }: PageRequest): boolean {
  return rawResponseOf(context.switchToHttp().getResponse()).destroyed;
}

function fwdOf({ fork, hit }: Located, judged: Judgement | undefined): NonNullable<CacheStatus['fwd']> {
  if (hit) return judged?.because === 'request' ? 'request' : 'stale';
  return fork ? 'vary-miss' : 'uri-miss';
}

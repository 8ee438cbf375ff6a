import { GatewayTimeoutException, HttpException } from '@nestjs/common';
import type { CallHandler, HttpServer } from '@nestjs/common';
import { of, type Observable } from 'rxjs';
import type { CacheService } from '../core/cache.service.js';
import { answer } from '../http-semantics/answer.js';
import { formatCacheStatus, type CacheStatus } from '../http-semantics/fields/cache-status.js';
import { isShareable, judge, judgeMiss, type Judgement } from '../http-semantics/judge.js';
import { storedOf } from './near-answer.js';
import type { Failed, Held, Page } from './page.js';
import { elect, pass, type Lead } from './page-election.js';
import { keyOfVariant, type Hit, type Located, type PageLookup } from './page-lookup.js';
import type { PageRequest } from './page-request.js';
import { refreshPage } from './page-refresh.js';
import { PageRun } from './page-run.js';
import { answer as replay, rawResponseOf } from './wire/index.js';

/**
 * A vary that is learned while a request waits makes it look again, and so does a leader that fails. More often than this something is odd, and
 * it goes on alone; or the handler is broken, and it need not be shown once more.
 */
const MAX_LOOKS = 4;

/** Where pages come from, and how they are sent. */
export interface TurnTools {
  readonly cache: CacheService;
  readonly adapter: HttpServer;
  readonly lookup: PageLookup;
}

/** What a request does for which nothing was there at once: it looks, waits for who is making it, or makes it when its turn comes. */
export class PageTurns {
  private looks = 0;
  private hasWaited = false;
  private failed: Failed | undefined;

  constructor(
    private readonly tools: TurnTools,
    private readonly request: PageRequest,
    private readonly next: CallHandler,
  ) {}

  /** @param found what the first look has found, if there was one @throws GatewayTimeoutException, and what the handler keeps failing with */
  async answer(found: Located | undefined): Promise<Observable<unknown>> {
    for (let first = found; this.looks < MAX_LOOKS; this.looks++, first = undefined) {
      const answered = await this.look(first ?? (await this.tools.lookup.far(this.request.place)));
      if (answered) return answered;
    }
    return this.alone();
  }

  /** `undefined`: it is worth another look. */
  private async look(located: Located): Promise<Observable<unknown> | undefined> {
    const { request } = this;
    const { hit } = located;
    if (request.isApart) return this.alone();
    const judged = hit && this.judged(hit);
    if (this.isForbidden(judged))
      throw new GatewayTimeoutException('not in the cache, and the request is only-if-cached');
    if (hit && judged && (judged.verdict === 'fresh' || judged.verdict === 'stale')) {
      if (judged.isRefreshDue) refreshPage(this.tools.cache, this.tools.adapter, request, located);
      return this.send(hit, { hit: true, ...(hit.tier && { detail: hit.tier }) });
    }
    if (this.isLess(hit) || !request.mayFill) return this.next.handle();
    // Whoever waited and has left makes nothing any more: nobody would ask for it.
    if (this.hasLeft()) return of(undefined);
    const turn = await elect(this.tools.cache, request, located, judged);
    return 'run' in turn ? this.lead(turn, located, judged) : this.follow(turn.held, located, judged);
  }

  /** Runs the handler for all who wait. */
  private lead(turn: Lead, located: Located, judged: Judgement | undefined): Observable<unknown> {
    if (this.hasLeft()) {
      pass(turn);
      return of(undefined);
    }
    const { cache, adapter } = this.tools;
    const purpose = { isUsableOnError: judged?.isUsableOnError === true, because: fwdOf(located, judged) };
    try {
      const run = new PageRun(this.request, { cache, adapter, load: turn.run, located, purpose });
      const { tapped, handled } = run.start(this.next);
      tapped.finished.then((outcome) => run.conclude(outcome)).then(turn.settle, turn.fail);
      return handled;
    } catch (error) {
      turn.fail(error);
      throw error;
    }
  }

  /** Sends what somebody else has made, if it is for this request, too. */
  private follow(held: Held, located: Located, judged: Judgement | undefined): Observable<unknown> | undefined {
    const { hit } = located;
    this.hasWaited = true;
    const { isApart } = this.request;
    const isOwnFailure =
      !isApart && held.kind === 'failed' && keyOfVariant(this.request.place, held.names) === held.variant;
    this.failed = isOwnFailure ? held : undefined;
    if (held.kind === 'not-shared' || isApart) return this.alone();
    // Each of those who wait leaves, fails, or makes it: this ends.
    if (held.kind === 'abandoned' || (held.kind === 'failed' && !isOwnFailure)) this.looks--;
    if (held.kind !== 'page' || !this.tools.lookup.matches(held, this.request.place)) return undefined;
    // The stale page, held over, or the one that was made while this request waited.
    const isHeldOver = hit?.page.stored.receivedAt === held.stored.receivedAt;
    const isAllowed = isHeldOver ? judged?.isUsableOnError : this.isShareable(held);
    if (!isAllowed) return this.alone();
    const now = isHeldOver ? hit.now : held.stored.receivedAt;
    return this.send({ page: held, tier: 'loader', now }, { fwd: fwdOf(located, judged), collapsed: true });
  }

  /** For itself only; nothing is stored. */
  private alone(): Observable<unknown> {
    // Nothing of what others were answered: it may name them.
    if (this.failed) throw new HttpException('the handler keeps failing', this.failed.status);
    if (this.hasWaited) this.setStatus({ fwd: 'miss', collapsed: false });
    return this.next.handle();
  }

  private judged({ page, now }: Hit): Judgement {
    const { headers, semantics } = this.request.place;
    return judge(page.stored, headers, now, semantics);
  }

  private isForbidden(judged: Judgement | undefined): boolean {
    const { headers, semantics } = this.request.place;
    return (judged ? judged.verdict : judgeMiss(headers, semantics)) === 'gateway-timeout';
  }

  /** What is asked for is less than what could be stored; but the answer to a HEAD may confirm, or refute, what is. */
  private isLess(hit: Hit | undefined): boolean {
    const { method, place, confirms } = this.request;
    return method === 'GET' ? !hit && 'range' in place.headers : !(hit && confirms);
  }

  private isShareable({ stored }: Page): boolean {
    const { headers, semantics } = this.request.place;
    return isShareable(stored, headers, stored.receivedAt, semantics);
  }

  private hasLeft(): boolean {
    return rawResponseOf(this.request.context.switchToHttp().getResponse()).destroyed;
  }

  private send({ page, now }: Hit, status: Omit<CacheStatus, 'cache'>): Observable<unknown> {
    const { context, method, place, cacheName } = this.request;
    this.request.noteServed(page);
    const options = { now, length: page.body.length, status: { cache: cacheName, ...status } };
    const made = answer(page.stored, page.headers, { method, headers: place.headers }, options);
    return of(replay(this.tools.adapter, context, storedOf({ page, made }, method)));
  }

  private setStatus(status: Omit<CacheStatus, 'cache'>): void {
    const { context, cacheName } = this.request;
    const response = context.switchToHttp().getResponse<object>();
    this.tools.adapter.setHeader(response, 'cache-status', formatCacheStatus({ cache: cacheName, ...status }));
  }
}

function fwdOf({ fork, hit }: Located, judged: Judgement | undefined): NonNullable<CacheStatus['fwd']> {
  if (hit) return judged?.because === 'request' ? 'request' : 'stale';
  return fork ? 'vary-miss' : 'uri-miss';
}

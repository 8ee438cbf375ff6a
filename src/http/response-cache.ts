import { GatewayTimeoutException, Logger } from '@nestjs/common';
import type { CallHandler, ExecutionContext, HttpServer } from '@nestjs/common';
import { concatAll, from, mergeMap, of, tap, type Observable } from 'rxjs';
import type { CacheService } from '../core/cache.service.js';
import type { CallOptions } from '../core/cache.options.js';
import { LoadTimeoutError } from '../core/errors/cache.error.js';
import type { LoadRun } from '../core/flights/load-run.js';
import { answer, type Answer } from '../http-semantics/answer.js';
import { formatCacheStatus, type CacheStatus } from '../http-semantics/fields/cache-status.js';
import { validators } from '../http-semantics/forwarded-fields.js';
import { isShareable, judge, judgeMiss, type Judgement } from '../http-semantics/judge.js';
import { ABANDONED, NOT_SHARED, type Held, type Page } from './page.js';
import { bodyOf, OriginError, PageFill, type FillOrder } from './page-fill.js';
import { ReadyAnswers } from './ready-answers.js';
import { PageLookup, type Hit, type Located, type Place } from './page-lookup.js';
import type { InputGuard, PageRequest } from './page-request.js';
import {
  answer as replay,
  baselineOf,
  detachedRequestOf,
  dispatchDetached,
  patchAdapter,
  rawResponseOf,
  restoreHead,
  statusOf,
  tapResponse,
  watchHandler,
  type ResponseTap,
  type TapOutcome,
} from './wire/index.js';

/** A vary that is learned while a request waits makes it look again; more often than this something is odd, and it goes on alone. */
const MAX_LOOKS = 4;

/** What a refresh without a client carries through the application to its own interceptor. */
export class DetachedFill {
  attempt: Attempt | undefined;

  constructor(
    readonly run: LoadRun,
    readonly located: Located,
    readonly primary: string,
  ) {}
}

/** Somebody has to run the handler: this request, or another one, whose answer is then here. */
type Turn = { readonly held: Held } | Lead;

interface Lead {
  readonly run: LoadRun;
  readonly settle: (held: Held) => void;
  readonly fail: (error: unknown) => void;
}

/** A run of the handler; replaced by another one, if it confirmed something that is not stored here. */
interface Attempt {
  fill: PageFill;
  inputs: InputGuard;
}

/** What is to become of what the handler answers. */
interface Purpose {
  readonly isUsableOnError: boolean;
  /** Why the request goes forward. */
  readonly because: CacheStatus['fwd'];
}

/** A stored page, and the response made of it. */
export interface NearAnswer {
  readonly page: Page;
  readonly made: Answer;
}

/** Answers requests with stored pages, and stores the pages that handlers make. */
export class ResponseCache {
  private readonly lookup: PageLookup;
  private ready: ReadyAnswers | undefined;
  private readonly logger = new Logger('ResponseCache');

  constructor(
    private readonly cache: CacheService,
    private readonly adapter: () => HttpServer,
  ) {
    this.lookup = new PageLookup(cache);
  }

  handle(request: PageRequest, next: CallHandler): Observable<unknown> {
    const { context, method, place, cacheName } = request;
    const near = this.near(place, method, cacheName);
    if (near) return of(this.replay(context, method, near.page, near.made));
    return from(this.look(request, next)).pipe(concatAll());
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
    if (request.place.primary !== task.primary) return next.handle();
    const { run, located } = task;
    const { attempt, handled } = this.begin(request, next, run, located, { isUsableOnError: true, because: 'stale' });
    task.attempt = attempt;
    return handled;
  }

  private async look(request: PageRequest, next: CallHandler): Promise<Observable<unknown>> {
    let waited = false;
    for (let looks = 0; looks < MAX_LOOKS; looks++) {
      const located = await this.lookup.far(request.place);
      const { hit } = located;
      const judged = hit && this.judged(request, hit);
      const isForbidden = judged
        ? judged.verdict === 'gateway-timeout'
        : judgeMiss(request.place.headers, request.place.semantics) === 'gateway-timeout';
      if (isForbidden) throw new GatewayTimeoutException('not in the cache, and the request is only-if-cached');
      if (hit && judged && (judged.verdict === 'fresh' || judged.verdict === 'stale')) {
        if (judged.isRefreshDue) this.refresh(request, located);
        return of(this.send(request, hit, { hit: true, ...(hit.tier && { detail: hit.tier }) }));
      }
      // What is asked for is less than what could be stored; but the answer to a HEAD may confirm, or refute, what is.
      const isLess = request.method === 'GET' ? !hit && 'range' in request.place.headers : !(hit && request.confirms);
      if (isLess) return next.handle();
      // Whoever waited and has left makes nothing any more: nobody would ask for it.
      if (hasLeft(request)) return of(undefined);
      const because = fwdOf(located, judged);
      const turn = await this.elect(request, located, judged);
      if ('run' in turn) {
        if (hasLeft(request)) return pass(turn);
        const isUsableOnError = judged?.isUsableOnError === true;
        return this.lead(request, next, turn, located, { isUsableOnError, because });
      }
      waited = true;
      const { held } = turn;
      if (held.kind === 'not-shared') break;
      // Each of those who wait leaves, or makes it: this ends.
      if (held.kind === 'abandoned') looks--;
      if (held.kind !== 'page' || !this.lookup.matches(held, request.place)) continue;
      // The stale page, held over, or the one that was made while this request waited.
      const isHeldOver = hit?.page.stored.receivedAt === held.stored.receivedAt;
      const now = isHeldOver ? hit.now : held.stored.receivedAt;
      const isAllowed = isHeldOver ? judged?.isUsableOnError : this.isShareable(request, held);
      if (!isAllowed) break;
      return of(this.send(request, { page: held, tier: 'loader', now }, { fwd: because, collapsed: true }));
    }
    if (waited) this.setStatus(request, { fwd: 'miss', collapsed: false });
    return next.handle();
  }

  private judged({ place }: PageRequest, { page, now }: Hit): Judgement {
    return judge(page.stored, place.headers, now, place.semantics);
  }

  private isShareable({ place }: PageRequest, { stored }: Page): boolean {
    return isShareable(stored, place.headers, stored.receivedAt, place.semantics);
  }

  /** The right, and duty, to run the handler for all who wait for it here and in other processes; or what came of somebody else's run. */
  private async elect(request: PageRequest, located: Located, judged: Judgement | undefined): Promise<Turn> {
    const { tags, backOff, hardTimeout } = request;
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
        this.cache.getOrSet<Held>(located.key, load, options).then((held) => resolve({ held }), reject);
      });
    } catch (error) {
      // Not ours: whoever led has told its client. This request has its own try.
      if (error instanceof OriginError || error instanceof LoadTimeoutError) return { held: NOT_SHARED };
      throw error;
    }
  }

  private lead(
    request: PageRequest,
    next: CallHandler,
    turn: Lead,
    located: Located,
    purpose: Purpose,
  ): Observable<unknown> {
    try {
      const { attempt, tapped, handled } = this.begin(request, next, turn.run, located, purpose);
      tapped.finished.then((outcome) => this.concluded(attempt, turn.run, outcome)).then(turn.settle, turn.fail);
      return handled;
    } catch (error) {
      turn.fail(error);
      throw error;
    }
  }

  /** What is wrong with a policy's function concerns neither the client, who has its answer, nor those who wait for it. */
  private async concluded({ fill }: Attempt, run: LoadRun, outcome: TapOutcome): Promise<Held> {
    try {
      return await fill.conclude(outcome);
    } catch (error) {
      if (error instanceof OriginError) throw error;
      this.logger.error(`a response could not be stored: ${(error as Error).message}`);
      run.skip();
      return NOT_SHARED;
    }
  }

  /** One refresh for all who are sent the stale page, without a client: a fresh run through the whole application. */
  private refresh(request: PageRequest, located: Located): void {
    const { tags, backOff, hardTimeout, place } = request;
    // A page is made of what GET answers, whoever finds that it is stale.
    const detached = { ...detachedRequestOf(request.context.switchToHttp().getRequest()), method: 'GET' };
    const load = async (context: unknown): Promise<Held> => {
      const run = context as LoadRun;
      const task = new DetachedFill(run, located, place.primary);
      const outcome = await dispatchDetached(this.adapter(), { request: detached, task, signal: run.signal });
      if (task.attempt) return this.concluded(task.attempt, run, outcome);
      run.skip();
      return NOT_SHARED;
    };
    const options: CallOptions<Held> = { tags, backOff, hardTimeout, softTimeout: 0 };
    this.cache.getOrSet<Held>(located.key, load, options).catch(() => undefined);
  }

  /** From now on the handler sees what it may see, and what it writes is looked at before it is sent. */
  private begin(
    request: PageRequest,
    next: CallHandler,
    run: LoadRun,
    located: Located,
    purpose: Purpose,
  ): { attempt: Attempt; tapped: ResponseTap; handled: Observable<unknown> } {
    // Also where nothing is replayed: it is there that a response cut off by an exception filter is noticed.
    patchAdapter(this.adapter());
    const response = request.context.switchToHttp().getResponse<object>();
    const baseline = baselineOf(response);
    const before = statusOf(response);
    const { hit } = located;
    // Before the inputs are guarded: functions of the policy may look at what the handler may not see.
    const { place, method, tags, maxBytes, maxVariants, keepToConfirmMs, cacheName, surrogateKeys } = request;
    let returned: unknown;
    const start = (confirm: Record<string, string>): Attempt => {
      const inputs = request.guardInputs(confirm);
      const order: FillOrder = {
        place,
        method,
        tags,
        maxVariants,
        keepToConfirmMs,
        cacheName,
        surrogateKeys,
        tagsOf: (page) => request.tagsOf(page, returned),
        shouldCache: (page) => request.shouldCache(page, returned),
        ...purpose,
        key: located.key,
        fork: located.fork,
        stale: hit,
        isConditional: Object.keys(confirm).length > 0,
        baseline: request.keepsAllFields ? {} : baseline,
        reads: inputs.reads,
      };
      return { fill: new PageFill(order, run, this.cache), inputs };
    };
    const attempt = start(hit && request.confirms ? (validators(hit.page.stored) as Record<string, string>) : {});
    const tapped = tapResponse(rawResponseOf(response), {
      maxBytes,
      baseline,
      decide: (head, body) => {
        const decision = attempt.fill.decide(head, body);
        // A stream goes on reading; so may interceptors further out and exception filters up to here.
        if (body !== undefined) attempt.inputs.done();
        return decision;
      },
    });
    void tapped.finished.then(() => attempt.inputs.done());
    const handled = next.handle().pipe(
      mergeMap((value) => {
        returned = value;
        const status = statusOf(response);
        if (status !== 304 || tapped.begun) return of(value);
        if (!attempt.fill.isOfAnother({ status, headers: baselineOf(response) })) return of(value);
        attempt.inputs.done();
        restoreHead(response, before, baseline);
        attempt.inputs.done();
        Object.assign(attempt, start({}));
        return next.handle().pipe(tap((again) => (returned = again)));
      }),
      watchHandler(tapped),
    );
    return { attempt, tapped, handled };
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
    return this.replay(context, method, page, made);
  }

  private replay(context: ExecutionContext, method: string, page: Page, { status, headers, body }: Answer): unknown {
    const isHead = method === 'HEAD' && status === page.stored.status;
    const bytes = isHead || body === 'full' ? page.body : bodyOf(page, body).body;
    return replay(
      this.adapter(),
      context,
      bytes === undefined ? { status, headers } : { status, headers, body: bytes },
    );
  }

  private setStatus({ context, cacheName }: PageRequest, status: Omit<CacheStatus, 'cache'>): void {
    const response = context.switchToHttp().getResponse<object>();
    this.adapter().setHeader(response, 'cache-status', formatCacheStatus({ cache: cacheName, ...status }));
  }
}

function hasLeft({ context }: PageRequest): boolean {
  return rawResponseOf(context.switchToHttp().getResponse()).destroyed;
}

/** To the next one who waits. */
function pass({ run, settle }: Lead): Observable<undefined> {
  run.skip();
  settle(ABANDONED);
  return of(undefined);
}

function fwdOf({ fork, hit }: Located, judged: Judgement | undefined): NonNullable<CacheStatus['fwd']> {
  if (hit) return judged?.because === 'request' ? 'request' : 'stale';
  return fork ? 'vary-miss' : 'uri-miss';
}

import { Logger } from '@nestjs/common';
import type { CallHandler, HttpServer } from '@nestjs/common';
import { mergeMap, of, tap, type Observable } from 'rxjs';
import type { CacheService } from '../core/cache.service.js';
import type { LoadRun } from '../core/flights/load-run.js';
import type { CacheStatus } from '../http-semantics/fields/cache-status.js';
import { validators } from '../http-semantics/forwarded-fields.js';
import { NOT_SHARED, type Held } from './page.js';
import type { FillOrder } from './fill-order.js';
import { OriginError } from './origin.error.js';
import { PageFill } from './page-fill.js';
import type { Located } from './page-lookup.js';
import type { InputGuard, PageRequest } from './page-request.js';
import {
  baselineOf,
  patchAdapter,
  rawResponseOf,
  restoreHead,
  statusOf,
  tapResponse,
  watchHandler,
  type ResponseTap,
  type TapOutcome,
} from './wire/index.js';

/** What is to become of what the handler answers. */
export interface Purpose {
  readonly isUsableOnError: boolean;
  /** Why the request goes forward. */
  readonly because: CacheStatus['fwd'];
}

/** For whom, and where to. */
export interface PageRunOptions {
  readonly cache: CacheService;
  readonly adapter: HttpServer;
  readonly load: LoadRun;
  readonly located: Located;
  readonly purpose: Purpose;
}

const logger = new Logger('ResponseCache');

/** One request's run of the handler for the cache; the handler runs again if it confirms something that is not stored here. */
export class PageRun {
  private readonly baseline: Readonly<Record<string, string | readonly string[]>>;
  private readonly statusBefore: number;
  private readonly response: object;
  private fill!: PageFill;
  private inputs!: InputGuard;
  /** By the handler, as far as it is known. */
  private returned: unknown;

  constructor(
    private readonly request: PageRequest,
    private readonly options: PageRunOptions,
  ) {
    // Also where nothing is replayed: it is there that a response cut off by an exception filter is noticed.
    patchAdapter(options.adapter);
    this.response = request.context.switchToHttp().getResponse<object>();
    this.baseline = baselineOf(this.response);
    this.statusBefore = statusOf(this.response);
  }

  /** From now on the handler sees what it may see, and what it writes is looked at before it is sent. */
  start(next: CallHandler): { readonly tapped: ResponseTap; readonly handled: Observable<unknown> } {
    const { request, response, baseline } = this;
    const { hit } = this.options.located;
    // Before the inputs are guarded: functions of the policy may look at what the handler may not see.
    const { maxBytes } = request;
    this.begin(hit && request.confirms ? (validators(hit.page.stored) as Record<string, string>) : {});
    const tapped = tapResponse(rawResponseOf(response), {
      maxBytes,
      baseline,
      decide: (head, body) => {
        const decision = this.fill.decide(head, body);
        // A stream goes on reading; so may interceptors further out and exception filters up to here.
        if (body !== undefined) this.inputs.done();
        return decision;
      },
    });
    void tapped.finished.then(() => this.inputs.done());
    const handled = next.handle().pipe(
      mergeMap((value) => (this.isOfAnother(tapped) ? this.again(next) : of(value))),
      tap((value) => (this.returned = value)),
      watchHandler(tapped),
    );
    return { tapped, handled };
  }

  /** What is kept. What is wrong with a policy's function concerns neither the client, who has its answer, nor those who wait for it. */
  async conclude(outcome: TapOutcome): Promise<Held> {
    try {
      return await this.fill.conclude(outcome);
    } catch (error) {
      if (error instanceof OriginError) throw error;
      logger.error(`a response could not be stored: ${(error as Error).message}`);
      this.options.load.skip();
      return NOT_SHARED;
    }
  }

  private begin(confirm: Record<string, string>): void {
    const { request, baseline } = this;
    const { cache, load, located, purpose } = this.options;
    const { placeToFill: place, method, tags, maxVariants, keepToConfirmMs, cacheName, surrogateKeys } = request;
    this.inputs = request.guardInputs(confirm);
    const order: FillOrder = {
      place,
      method,
      tags,
      maxVariants,
      keepToConfirmMs,
      cacheName,
      surrogateKeys,
      tagsOf: (page) => request.tagsOf(page, this.returned),
      shouldCache: (page) => request.shouldCache(page, this.returned),
      ...purpose,
      key: located.key,
      fork: located.fork,
      stale: located.hit,
      isConditional: Object.keys(confirm).length > 0,
      baseline,
      keepsAllFields: request.keepsAllFields,
      reads: this.inputs.reads,
      isAsArrived: this.inputs.isAsArrived,
    };
    this.fill = new PageFill(order, load, cache);
  }

  private isOfAnother({ begun }: ResponseTap): boolean {
    const status = statusOf(this.response);
    return status === 304 && !begun && this.fill.isOfAnother({ status, headers: baselineOf(this.response) });
  }

  private again(next: CallHandler): Observable<unknown> {
    this.inputs.done();
    restoreHead(this.response, this.statusBefore, this.baseline);
    this.begin({});
    return next.handle();
  }
}

import type { CacheService } from '../core/cache.service.js';
import type { LoadRun } from '../core/flights/load-run.js';
import type { CachePolicy } from '../http-semantics/cache-policy.js';
import type { Fields } from '../http-semantics/fields/fields.js';
import { isOriginError } from '../http-semantics/judge.js';
import { merge304, mergeHead, type HeadEffect, type Merged } from '../http-semantics/merge304.js';
import { isOfTheRequest } from '../http-semantics/storable.js';
import { mergeVary, varyNames } from '../http-semantics/vary.js';
import type { FillOrder, LearnedInputs } from './fill-order.js';
import { OriginError } from './origin.error.js';
import { BY_CONTEXTS, type Held, type Page } from './page.js';
import { PageKeeper } from './page-keeper.js';
import { PageMaker } from './page-maker.js';
import { PageSender } from './page-sender.js';
import { isCaptured, type ResponseHead, type TapDecision, type TapOutcome } from './wire/index.js';

/** What a session that is saved late adds: the response is for one client. */
const OF_ONE = new Set(['set-cookie', 'cache-control', 'vary']);

/** One run of a handler on behalf of the cache: what of its response goes out, and what is kept. */
export class PageFill {
  private readonly maker: PageMaker;
  private readonly sender: PageSender;
  private readonly keeper: PageKeeper;
  private merged: Merged | undefined;
  private failure: OriginError | undefined;
  private inputs: LearnedInputs = { vary: [] };
  private refusal: string | undefined;
  private headEffect: HeadEffect | undefined;

  constructor(
    private readonly order: FillOrder,
    run: LoadRun,
    cache: CacheService,
  ) {
    this.maker = new PageMaker(order);
    this.sender = new PageSender(order);
    this.keeper = new PageKeeper(order, run, cache);
  }

  /** Whether the handler says "not modified" of something that is not stored here: it has to be asked without conditions (RFC 9111 4.3.4). */
  isOfAnother(head: ResponseHead): boolean {
    const { stale, isConditional } = this.order;
    return (
      stale !== undefined && isConditional && head.status === 304 && this.mergedWith(stale.page, head) === undefined
    );
  }

  /** When status and fields are known and nothing has been sent: for the tap of the response. */
  decide(head: ResponseHead, body: Buffer | undefined): TapDecision {
    const { stale, isConditional, isUsableOnError } = this.order;
    this.judgeReads();
    if (stale && isConditional && head.status === 304) {
      this.merged = this.mergedWith(stale.page, head);
      if (this.merged) return this.sender.confirmed(stale.page, this.merged, this.refusal);
    }
    if (stale && isUsableOnError && isOriginError(head.status)) {
      this.failure = new OriginError(head.status);
      return this.sender.heldOver(stale, head.status);
    }
    if (this.order.method === 'HEAD') this.headEffect = stale && this.compared(stale.page, head);
    const isKept = this.order.method !== 'HEAD' && this.refusal === undefined;
    const made = isKept ? this.maker.make(head, body, this.inputs) : undefined;
    return made?.isStorable ? this.sender.stored(made, head, body) : this.sender.passed(head, this.refusal);
  }

  /** What is kept of it, and under what conditions. @throws OriginError if the stale page is to be held over */
  async conclude(outcome: TapOutcome): Promise<Held> {
    if (this.failure) throw this.failure;
    this.maker.checkPolicy();
    const { stale, method } = this.order;
    if (this.merged && stale) return this.keepMerged(this.merged, stale.page);
    if (method === 'HEAD') return this.concludeHead(stale?.page);
    if (!isCaptured(outcome) && outcome.hasClientLeft) return this.keeper.abandoned();
    if (hasFailed(outcome)) return this.failed(outcome);
    if (!isCaptured(outcome) || outcome.addedLate.some((name) => OF_ONE.has(name))) return this.keeper.notShared();
    // While its body was written more may have been read.
    this.judgeReads();
    if (this.refusal !== undefined) return this.keeper.notShared();
    const made = this.maker.make(outcome, outcome.body, this.inputs);
    if (!made.isStorable) {
      // What was stored before is not true any more, whether or not this may be stored.
      if (stale && outcome.status < 500 && !isOfTheRequest(made.reason)) await this.keeper.remove();
      return this.keeper.notShared();
    }
    const parts = { ...this.maker.partsOf(made, outcome.body, outcome.headers), ...this.contexts() };
    if (!this.order.shouldCache(parts)) return this.keeper.notShared();
    return this.keeper.keep(parts, this.maker.lateTags(made));
  }

  private judgeReads(): void {
    const reads = this.order.reads();
    if ('refuse' in reads) this.refusal = reads.refuse;
    else this.inputs = reads;
  }

  private contexts(): Pick<Page, 'contexts'> {
    const contexts = this.inputs.isContextual && this.order.place.contexts?.variant;
    return contexts === undefined ? {} : { contexts };
  }

  private mergedWith({ stored, headers }: Page, head: ResponseHead): Merged | undefined {
    const answered = this.asRead(headers, this.maker.ownHead(head));
    return merge304(stored, headers, this.maker.exchange(answered), this.semanticsOf(headers, answered));
  }

  private compared({ stored, headers, body }: Page, head: ResponseHead): HeadEffect | undefined {
    // A body that came in chunks has a length by now.
    const known = { ...headers, 'content-length': String(body.length) };
    const answered = this.asRead(headers, this.maker.ownHead(head));
    return mergeHead(stored, known, this.maker.exchange(answered), this.semanticsOf(headers, answered));
  }

  /** With the names by which pages can be told apart that depend on what was read for it. */
  private asRead(page: Fields, head: ResponseHead): ResponseHead {
    const { vary } = this.inputs;
    if (vary.length === 0) return head;
    const own = head.headers['vary'] ?? page['vary'];
    return { ...head, headers: { ...head.headers, vary: mergeVary(own, vary) as string } };
  }

  /** Of a page, and what confirms it: both may name what it varies by. */
  private semanticsOf(page: Fields, { headers }: ResponseHead): CachePolicy {
    const names = [varyNames(page), varyNames(headers)];
    const isOfOne = this.refusal !== undefined || this.inputs.isContextual;
    return this.maker.semanticsFor(names.includes('*') ? '*' : (names as string[][]).flat(), isOfOne);
  }

  private async keepMerged({ stored, headers, isWithdrawn }: Merged, page: Page): Promise<Held> {
    // Its new fields may be of this request alone.
    if (stored && this.refusal !== undefined) return this.keeper.notShared();
    // Confirmed without an answer of its own: it keeps the labels that it has.
    if (stored) return this.keeper.keep({ ...page, ...this.contexts(), stored, headers }, page.tags);
    if (isWithdrawn) await this.keeper.remove();
    return this.keeper.notShared();
  }

  /** What the answer to a HEAD says about the page, which it cannot replace (RFC 9111 4.3.5). */
  private async concludeHead(page: Page | undefined): Promise<Held> {
    const effect = this.headEffect;
    if (!page || !effect) return this.keeper.notShared();
    if (effect.isConfirmed) return this.keepMerged(effect, page);
    await this.keeper.remove();
    return this.keeper.notShared();
  }

  private failed({ status = 0 }: TapOutcome): Held {
    this.judgeReads();
    if (this.refusal !== undefined) return this.keeper.notShared();
    const { vary, isContextual } = this.inputs;
    return this.keeper.failed(Math.max(500, status), isContextual ? [...vary, BY_CONTEXTS] : vary);
  }
}

/** An error that is not kept, or half a response. */
function hasFailed(outcome: TapOutcome): boolean {
  if (isCaptured(outcome)) return false;
  return outcome.reason === 'aborted' || (outcome.reason === 'declined' && (outcome.status ?? 0) >= 500);
}

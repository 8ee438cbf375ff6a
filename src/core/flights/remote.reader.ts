import type { Acquired, LeaseRequest } from '../../stores/contract/cache-store.js';
import type { StoreClock } from '../clock/store-clock.js';
import type { Clock } from '../clock/clock.js';
import type { Frame, FrameTag } from '../envelope/frame.js';
import type { EntryCodec } from '../entry-codec.js';
import { StoreUnavailableError } from '../errors/cache.error.js';
import type { Address } from '../keys/address.js';
import type { Namespace } from '../namespace.js';
import type { StoreGuard, WaitBudget } from '../outage/store-guard.js';
import type { Found } from '../tiers/found.js';
import type { MemoryTier } from '../tiers/memory.tier.js';
import type { ReportJudge } from '../tiers/tier-coherence.js';
import type { Epoch, Fence } from '../tokens/epoch.js';
import { graceOf, makeFence, standingOf } from '../tokens/epoch.js';
import type { TokenRegistry } from '../tokens/token-registry.js';
import type { KeyWatch } from './key-watch.js';
import { ReadTicks, type Tick } from './read-ticks.js';

/** What the store had for one key. */
export interface Reading {
  /** The frame as read, usable or not: what an `acquire` must not be answered with again. */
  readonly frame: Uint8Array | undefined;
  readonly found: Found | undefined;
}

/** What became of a wish for the lease, and what the store had that was not seen: if that is a `value`, it stood in the way. */
export type Claim =
  | { readonly outcome: 'value'; readonly reading: Reading }
  | (Exclude<Acquired, { readonly outcome: 'value' }> & { readonly reading?: Reading | undefined });

/** A promise only if a token had to be asked for. */
export type Answer = Reading | Promise<Reading>;

/** Of a key that the store does not have. */
export const NOTHING: Reading = { frame: undefined, found: undefined };

/** A key to be read, and how long its caller may still wait for the store. */
interface Question {
  readonly namespace: Namespace;
  readonly address: Address;
  readonly budget: WaitBudget;
}

/** Reads the remote tier, judges what it finds, and fills the memory tier with the remaining life. */
export class RemoteReader implements ReportJudge {
  private readonly ticks = new ReadTicks<Question, Answer>((questions) => this.answer(questions, this.guard.budget()));

  constructor(
    private readonly clock: Clock,
    private readonly storeClock: StoreClock,
    private readonly guard: StoreGuard,
    private readonly entries: EntryCodec,
    private readonly tokens: TokenRegistry,
    private readonly memory: MemoryTier | undefined,
    private readonly watch: KeyWatch,
  ) {}

  /** Readings of several keys, in order, in one operation. Rejects with StoreUnavailableError. */
  async read(namespace: Namespace, addresses: readonly Address[], budget: WaitBudget): Promise<Reading[]> {
    const isOne = addresses.length === 1;
    const questions = addresses.map((address) => ({
      namespace,
      address,
      budget: isOne ? budget : { remainingMs: budget.remainingMs },
    }));
    const answers = await this.answer(questions, budget);
    // Promise.all makes a promise of everything it is given.
    return answers.some((answer) => answer instanceof Promise) ? Promise.all(answers) : (answers as Reading[]);
  }

  /** Asks together with others, see {@link ReadTicks}. Takes a budget nothing was spent of. */
  ask(question: Question): Tick<Question, Answer> {
    return this.ticks.ask(question);
  }

  private async answer(questions: readonly Question[], budget: WaitBudget): Promise<Answer[]> {
    const moment = this.watch.begin();
    try {
      const frames = await this.fetch(questions, budget);
      const readAt = this.storeClock.now();
      return questions.map((question, i) => {
        const { namespace, address } = question;
        question.budget.remainingMs = budget.remainingMs;
        const answer = this.judge(namespace, address, frames[i], question.budget, readAt);
        if (answer instanceof Promise) return this.answerLate(question, answer, moment);
        this.remember(namespace, address, answer.found, moment);
        return answer;
      });
    } finally {
      this.watch.end();
    }
  }

  private async answerLate(
    { namespace, address }: Question,
    answer: Promise<Reading>,
    moment: number,
  ): Promise<Reading> {
    this.watch.begin();
    try {
      const reading = await answer;
      this.remember(namespace, address, reading.found, moment);
      return reading;
    } finally {
      this.watch.end();
    }
  }

  /**
   * Asks for the lease; what is there is judged and remembered like what was read. Rejects with StoreUnavailableError.
   * @param late given an answer that nobody waits for any more
   */
  async acquire(
    namespace: Namespace,
    address: Address,
    request: LeaseRequest,
    budget: WaitBudget,
    late: (answer: Acquired) => void,
  ): Promise<Claim> {
    const moment = this.watch.begin();
    try {
      const asking = this.guard.run('acquire', budget, (store) => store.acquire(address.store, request), late);
      this.tokens.warm(() => this.guard.budget());
      const answer = await asking;
      const frame = answer.outcome === 'value' ? answer.frame : answer.stale;
      if (frame === undefined) return answer as Exclude<Acquired, { outcome: 'value' }>;
      const reading = await this.judgeBeside(answer, namespace, address, frame, budget);
      if (reading) this.remember(namespace, address, reading.found, moment);
      return { ...answer, reading } as Claim;
    } finally {
      this.watch.end();
    }
  }

  /** What came beside a lease, ours or another's, and cannot be judged is done without: it is known who loads. */
  private async judgeBeside(
    { outcome }: Acquired,
    namespace: Namespace,
    address: Address,
    frame: Uint8Array,
    budget: WaitBudget,
  ): Promise<Reading | undefined> {
    try {
      return await this.judge(namespace, address, frame, budget);
    } catch (error) {
      if (outcome === 'value' || !(error instanceof StoreUnavailableError)) throw error;
      // It may have been spent on this.
      Object.assign(budget, this.guard.budget());
      return undefined;
    }
  }

  /** Fills the memory tier, unless a report overtook the reading. */
  private remember(namespace: Namespace, address: Address, found: Found | undefined, moment: number): void {
    if (found && !this.watch.isReported(address.store, moment))
      this.memory?.insert(namespace.index, address.local, found);
  }

  momentOf(at: number): number | undefined {
    return this.storeClock.ready() ? undefined : this.storeClock.earliest(at);
  }

  judgeReported(namespace: Namespace, storeKey: string, bytes: Uint8Array): Found | undefined {
    // While an invalidation of this process waits, the store does not know of it.
    if (this.storeClock.ready() || !this.guard.queue.isEmpty) return undefined;
    const frame = this.entries.parse(namespace, { store: storeKey }, bytes);
    return frame && this.judgeByKnown(namespace, frame, this.tokens.current(namespace.token))?.found;
  }

  /** The frames. Namespaces' tokens that are not known are asked for in the same tick, so that they travel with the values. */
  private async fetch(questions: readonly Question[], budget: WaitBudget): Promise<Array<Uint8Array | undefined>> {
    const opening = this.ready(budget);
    if (opening) await opening;
    const keys: string[] = [];
    const tokens: string[] = [];
    let last: Namespace | undefined;
    for (const { namespace, address } of questions) {
      keys.push(address.store);
      if (namespace === last) continue;
      last = namespace;
      const { token } = namespace;
      if (this.tokens.current(token) !== undefined) this.tokens.use(token);
      else if (!tokens.includes(token)) tokens.push(token);
    }
    const reading = this.guard.run('read', budget, (store) => store.read(keys));
    this.tokens.warm(() => this.guard.budget());
    if (tokens.length === 0) return reading;
    const [frames] = await Promise.all([reading, this.tokens.read(tokens, budget)]);
    return frames;
  }

  /** Resolves, the first time, when the store has told its time. Usually `undefined`: nothing to wait for. */
  ready(budget: WaitBudget): Promise<void> | undefined {
    const waiting = this.storeClock.ready();
    return waiting && this.guard.run('now', budget, () => waiting);
  }

  /** Whether a frame may be served: sound, alive, and loaded under the tokens of now. Synchronous unless a token must be asked for. */
  judge(
    namespace: Namespace,
    address: Address,
    bytes: Uint8Array | undefined,
    budget: WaitBudget,
    readAt?: number,
  ): Reading | Promise<Reading> {
    if (bytes === undefined) return NOTHING;
    // Most entries carry their namespace's token alone.
    const only = this.tokens.current(namespace.token);
    const again = only && this.entries.recall(namespace, address, bytes, only.fence, readAt);
    if (again) return { frame: bytes, found: again };
    const frame = this.entries.parse(namespace, address, bytes, readAt);
    if (frame === undefined) return { frame: bytes, found: undefined };
    const known = this.judgeByKnown(namespace, frame, only);
    if (known) return known;
    const { tags } = frame;
    const names = tags.map((tag) => tag.name);
    return this.tokens.read(names, budget).then((epochs) => this.compare(namespace, frame, tags, epochs));
  }

  /** As {@link judge}; `undefined` where a token must be asked for. */
  private judgeByKnown(namespace: Namespace, frame: Frame, only: Epoch | undefined): Reading | undefined {
    if (only && frame.isTagged(only.tag.encoded)) {
      const reading = this.reading(namespace, frame, only.fence);
      if (reading.found) this.entries.remember(namespace, frame, reading.found);
      return reading;
    }
    const { tags } = frame;
    const epochs = this.tokens.known(tags.map((tag) => tag.name));
    return epochs && this.compare(namespace, frame, tags, epochs);
  }

  private compare(namespace: Namespace, frame: Frame, tags: readonly FrameTag[], epochs: readonly Epoch[]): Reading {
    let isStale = false;
    let graceEnds: number | undefined;
    for (let i = 0; i < epochs.length; i++) {
      const epoch = epochs[i] as Epoch;
      const carried = tags[i]?.token;
      const standing = standingOf(carried, epoch.token);
      isStale ||= standing === 'stale';
      if (standing !== 'void') continue;
      // None but the first, the namespace's, has any.
      graceEnds = graceOf(carried, epoch, this.storeClock.now());
      if (graceEnds === undefined) return { frame: frame.bytes, found: undefined };
    }
    const reading = this.reading(namespace, frame, makeFence(epochs));
    let { found } = reading;
    if (found && graceEnds !== undefined) found = this.graced(found, this.storeClock.toLocal(graceEnds));
    // One of its tags was expired after it was loaded.
    if (found && isStale) found = { ...found, freshUntil: this.atMostNow(found.freshUntil), isHeldOver: false };
    return { frame: reading.frame, found };
  }

  /** From under a former stamp: stale, and gone when the grace ends. A back-off goes on. */
  private graced(found: Found, until: number): Found {
    const expiresAt = Math.min(found.expiresAt, until);
    const freshUntil = found.isHeldOver ? Math.min(found.freshUntil, expiresAt) : this.atMostNow(found.freshUntil);
    return { ...found, freshUntil, expiresAt, isGraced: true };
  }

  private atMostNow(time: number): number {
    return Math.min(time, this.clock.now());
  }

  private reading(namespace: Namespace, frame: Frame, fence: Fence): Reading {
    return { frame: frame.bytes, found: this.entries.found(namespace, frame, fence, 'remote') };
  }

  isFresh(found: Found): boolean {
    return this.clock.now() < found.freshUntil;
  }
}

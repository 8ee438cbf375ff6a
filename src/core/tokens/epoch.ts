import { SOFT_MARK } from '../../stores/contract/cache-store.js';
import { encodeTags, type FrameTag } from '../envelope/frame.js';

/** A token that was replaced, and until when (of the store's time, in milliseconds) what carries it is stale and not void. */
export interface Grace {
  readonly token: string;
  readonly until: number;
}

/** One token as this process knows it. Dies when the token is, or may have been, replaced; entries point at the epochs they were loaded under. */
export class Epoch {
  alive = true;
  /** The fence of entries that carry nothing but this token, shared by all of them. */
  readonly fence: Fence = { first: this, rest: undefined };

  constructor(
    readonly name: string,
    /** `undefined` while the store has not told it: such an epoch matches no stored entry. */
    readonly token: string | undefined,
    /** Tokens of before that entries may still carry for a while. */
    readonly graces: readonly Grace[] = [],
  ) {}

  private known: Required<FrameTag> | undefined;

  /** What the frames of entries that were loaded under it say of it. */
  get tag(): Required<FrameTag> {
    return (this.known ??= this.makeTag());
  }

  private makeTag(): Required<FrameTag> {
    const tag = { name: this.name, token: this.token ?? '' };
    return { ...tag, encoded: encodeTags([tag]) };
  }
}

/** What keeps an entry valid: all of its epochs. The first is the namespace's; most entries have no other. */
export interface Fence {
  readonly first: Epoch;
  readonly rest: readonly Epoch[] | undefined;
}

/**
 * When the token, or its soft part, was put in the place of another, in the store's microseconds; 0 for one that was created because there
 * was none. Comparable with the time at which the store grants a lease, and with nothing else.
 */
export function rotatedAt({ token }: Epoch): number {
  // Unreadable is as bad as replaced just now.
  if (token === undefined) return Infinity;
  const time = Number.parseInt(token.slice(token.indexOf(SOFT_MARK) + 1), 36);
  return Number.isNaN(time) ? Infinity : time;
}

/** Until when, of the store's time, an entry that carries `carried` may be served for stale; `undefined`: not at all. */
export function graceOf(carried: string | undefined, { graces }: Epoch, storeNow: number): number | undefined {
  const until = graces.find(({ token }) => token === carried)?.until;
  return until !== undefined && storeNow < until ? until : undefined;
}

/** What an entry that carries `carried` is while the token is `current`. */
export function standingOf(carried: string | undefined, current: string | undefined): 'current' | 'stale' | 'void' {
  if (carried === undefined || current === undefined) return 'void';
  if (carried === current) return 'current';
  return hardPart(carried) === hardPart(current) ? 'stale' : 'void';
}

function hardPart(token: string): string {
  const softAt = token.indexOf(SOFT_MARK);
  return softAt < 0 ? token : token.slice(0, softAt);
}

export function makeFence(epochs: readonly Epoch[]): Fence {
  const first = epochs[0] as Epoch;
  return epochs.length === 1 ? first.fence : { first, rest: epochs.slice(1) };
}

export function epochsOf({ first, rest }: Fence): readonly Epoch[] {
  return rest === undefined ? [first] : [first, ...rest];
}

export function isAlive(fence: Fence): boolean {
  if (!fence.first.alive) return false;
  if (fence.rest !== undefined) for (const epoch of fence.rest) if (!epoch.alive) return false;
  return true;
}

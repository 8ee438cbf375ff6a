/** More kinds of locks are not told apart; the oldest are forgotten. */
const MAX_KINDS = 1000;
/** Weight of the newest measurement. */
const WEIGHT = 0.2;
/** Of a kind of lock that was never released here. */
const UNKNOWN_MS = 1000;

/** How long locks of a kind are held as a rule, measured here: what a refused caller is told to wait. */
export class HoldTimes {
  private readonly averages = new Map<string, number>();

  record(key: string, heldMs: number): void {
    const kind = kindOf(key);
    const before = this.averages.get(kind);
    if (before === undefined && this.averages.size >= MAX_KINDS) this.forgetOldest();
    this.averages.set(kind, before === undefined ? heldMs : before + WEIGHT * (heldMs - before));
  }

  /** When the lock may be free; not later than its holder's lease and that of those before, and at least 1. */
  retryAfterMs(key: string, remainingMs: number, waiting: number): number {
    const average = this.averages.get(kindOf(key)) ?? UNKNOWN_MS;
    const turns = 1 + waiting;
    return Math.max(1, Math.ceil(Math.min(average * turns, Math.max(remainingMs, 1) * turns)));
  }

  private forgetOldest(): void {
    const [oldest] = this.averages.keys();
    if (oldest !== undefined) this.averages.delete(oldest);
  }
}

/** `/policy/42` and `policy:42` are of the kind `policy`. */
function kindOf(key: string): string {
  const from = key.startsWith('/') ? 1 : 0;
  for (let i = from; i < key.length; i++) if (key[i] === '/' || key[i] === ':') return key.slice(from, i);
  return key.slice(from);
}

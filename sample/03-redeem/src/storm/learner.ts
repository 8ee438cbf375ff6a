import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from './random.js';

/** What a learner was told in the end. */
export interface Outcome {
  readonly key: string;
  readonly amount: number;
  readonly isGranted: boolean;
}

/** Answers that were no end, by status and code, and requests without an answer. */
export type Retries = Map<string, number>;

/** Somebody who redeems once and asks, under the same Idempotency-Key, until it is clear how it ended. */
export class Learner {
  readonly key = randomUUID();
  readonly amount: number;

  constructor(
    private readonly policyId: number,
    private readonly random: Random,
    private readonly pick: () => string | undefined,
    private readonly retries: Retries,
  ) {
    this.amount = Math.floor(random.between(1, 6));
  }

  /** One in ten clicks twice. @throws Error if the answers contradict each other */
  async redeem(): Promise<Outcome> {
    const clicks = this.random.between(0, 10) < 1 ? 2 : 1;
    const ends = await Promise.all(Array.from({ length: clicks }, () => this.untilItEnds()));
    if (new Set(ends).size > 1) throw new Error(`the redeem ${this.key} was granted and refused`);
    return { key: this.key, amount: this.amount, isGranted: ends[0] as boolean };
  }

  private async untilItEnds(): Promise<boolean> {
    for (;;) {
      const isGranted = await this.ask();
      if (isGranted !== undefined) return isGranted;
      await sleep(this.random.between(100, 1000));
    }
  }

  /** `undefined`: nobody can tell yet. */
  private async ask(): Promise<boolean | undefined> {
    const url = this.pick();
    if (url === undefined) return undefined;
    try {
      const response = await fetch(`${url}/policies/${this.policyId}/redeem`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'idempotency-key': this.key },
        body: JSON.stringify({ learner: this.key.slice(0, 8), amount: this.amount }),
        signal: AbortSignal.timeout(30_000),
      });
      const { code } = (await response.json()) as { code?: string };
      if (response.status === 201) return true;
      if (response.status === 422 && code === 'budget_exhausted') return false;
      this.count(`${response.status} ${code ?? ''}`.trim());
    } catch {
      this.count('no answer');
    }
    return undefined;
  }

  private count(what: string): void {
    this.retries.set(what, (this.retries.get(what) ?? 0) + 1);
  }
}

import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from './random.js';

/** What a learner was told in the end. */
export interface Outcome {
  readonly key: string;
  readonly amount: number;
  readonly isGranted: boolean;
}

/** Answers that were no end, by status and code, requests without an answer, and answers that were replayed. */
export type Retries = Map<string, number>;

interface End {
  readonly isGranted: boolean;
  /** The receipt's, if there is one. */
  readonly id: number | undefined;
}

/** Somebody who redeems once and asks, under the same Idempotency-Key, until it is clear how it ended. */
export class Learner {
  readonly name = randomUUID().slice(0, 8);
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

  /** One in ten clicks twice, and one in five asks again when it has its answer. @throws Error if the answers contradict each other */
  async redeem(): Promise<Outcome> {
    const clicks = this.random.between(0, 10) < 1 ? 2 : 1;
    const ends = await Promise.all(Array.from({ length: clicks }, () => this.untilItEnds()));
    if (this.random.between(0, 5) < 1) ends.push(await this.untilItEnds());
    const [first] = ends as [End];
    if (ends.some(({ isGranted, id }) => isGranted !== first.isGranted || id !== first.id))
      throw new Error(`the redeem ${this.key} was answered in two ways: ${JSON.stringify(ends)}`);
    return { key: `${this.name} ${this.key}`, amount: this.amount, isGranted: first.isGranted };
  }

  private async untilItEnds(): Promise<End> {
    for (;;) {
      const end = await this.ask();
      if (end !== undefined) return end;
      await sleep(this.random.between(100, 1000));
    }
  }

  /** `undefined`: nobody can tell yet. */
  private async ask(): Promise<End | undefined> {
    const url = this.pick();
    if (url === undefined) return undefined;
    try {
      const response = await fetch(`${url}/policies/${this.policyId}/redeem`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'idempotency-key': this.key, 'x-learner': this.name },
        body: JSON.stringify({ amount: this.amount }),
        signal: AbortSignal.timeout(30_000),
      });
      const { id, code } = (await response.json()) as { id?: number; code?: string };
      if (response.headers.get('idempotent-replayed') === 'true') this.count('replayed');
      if (response.status === 201) return { isGranted: true, id };
      if (response.status === 422 && code === 'budget_exhausted') return { isGranted: false, id: undefined };
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

import { Injectable, NotFoundException, UnprocessableEntityException } from '@nestjs/common';
import type { Lease } from 'nestjs-tiered-cache';
import { fencedUpdate, type FenceSource } from 'nestjs-tiered-cache/fencing';
import { Database } from './database.js';
import { PaymentProvider } from './payment-provider.js';

export interface Redeem {
  readonly policyId: number;
  readonly learner: string;
  /** In cents. */
  readonly amount: number;
}

export interface Receipt extends Redeem {
  readonly id: number;
}

const RECEIPT = 'id, policy_id AS "policyId", learner, amount';

@Injectable()
export class Redemptions {
  constructor(
    private readonly database: Database,
    private readonly provider: PaymentProvider,
  ) {}

  /**
   * Takes `amount` from the policy's budget, once for each idempotency key, however often and from wherever it is asked to: `@Idempotent()`
   * lets one in at a time, and replays what was answered; who was killed between the commit and the answer finds its receipt in the ledger.
   * @param lease of the policy
   */
  async redeem(lease: Lease, request: Redeem, idempotencyKey: string): Promise<Receipt> {
    const { policyId, learner, amount } = request;
    const policy = { table: 'policy', where: { id: policyId } };
    // Claim, then read: from here on whoever held the lock before can write no more, so that what is read stays true.
    const claim = { ...policy, set: { holder: process.pid }, returning: ['budget', 'spent'] };
    const { rows } = await fencedUpdate<{ budget: number; spent: number }>(this.database.query, fenceOf(lease), claim);
    const [found] = rows;
    if (!found) throw new NotFoundException(`there is no policy ${policyId}`);
    const receipt = await this.find(idempotencyKey);
    if (receipt) return receipt;
    const spent = found.spent + amount;
    if (spent > found.budget)
      throw new UnprocessableEntityException({ code: 'budget_exhausted', left: found.budget - found.spent });
    // The provider asks no fence: the local clock must do.
    lease.assertHeld();
    await this.provider.authorise(idempotencyKey, amount);
    return this.database.transaction(async (query) => {
      // Refused, with all that follows, if this process was stopped for so long that somebody else has claimed the policy.
      await fencedUpdate(query, fenceOf(lease), { ...policy, set: { spent } });
      const text = `INSERT INTO ledger (idempotency_key, policy_id, learner, amount) VALUES ($1, $2, $3, $4) RETURNING ${RECEIPT}`;
      const result = (await query(text, [idempotencyKey, policyId, learner, amount])) as { rows: [Receipt] };
      return result.rows[0];
    });
  }

  private async find(idempotencyKey: string): Promise<Receipt | undefined> {
    const text = `SELECT ${RECEIPT} FROM ledger WHERE idempotency_key = $1`;
    return (await this.database.rows<Receipt>(text, [idempotencyKey]))[0];
  }
}

/** FENCING=off shows what a lock alone is worth: a token that is the same for everybody refuses nobody. */
function fenceOf(lease: Lease): FenceSource {
  return process.env['FENCING'] === 'off' ? 1n : lease;
}

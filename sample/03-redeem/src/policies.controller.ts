import {
  BadRequestException,
  Body,
  Controller,
  Get,
  Headers,
  NotFoundException,
  Param,
  ParseIntPipe,
  Post,
  UseGuards,
} from '@nestjs/common';
import { CacheLock, Idempotent, Lease } from 'nestjs-tiered-cache';
import { Database } from './database.js';
import { LearnerGuard } from './learner.guard.js';
import { Redemptions, type Receipt } from './redemptions.service.js';

interface PolicyState {
  readonly id: number;
  readonly budget: number;
  readonly spent: number;
  /** What the ledger says was spent, and how often. */
  readonly redeemed: number;
  readonly redemptions: number;
}

type Fields = Readonly<Record<string, unknown>> | undefined;

@Controller('policies')
export class PoliciesController {
  constructor(
    private readonly redemptions: Redemptions,
    private readonly database: Database,
  ) {}

  @Post()
  async create(@Body() body: Fields): Promise<PolicyState> {
    const text = 'INSERT INTO policy (budget) VALUES ($1) RETURNING id';
    const [created] = await this.database.rows<{ id: number }>(text, [cents(body, 'budget')]);
    return this.state((created as { id: number }).id);
  }

  @Get(':id')
  async state(@Param('id', ParseIntPipe) id: number): Promise<PolicyState> {
    const [policy] = await this.database.rows<PolicyState>(
      `SELECT policy.id, budget, spent, coalesce(sum(amount), 0)::int AS redeemed, count(ledger.id)::int AS redemptions
         FROM policy LEFT JOIN ledger ON policy_id = policy.id WHERE policy.id = $1 GROUP BY policy.id`,
      [id],
    );
    if (!policy) throw new NotFoundException(`there is no policy ${id}`);
    return policy;
  }

  // Guards run from below: who asks, then whether it was answered before, then the lock. The number, not the text: '1' and '01' are one policy.
  @Post(':id/redeem')
  @CacheLock({ key: ({ params }) => ['policy', Number(params['id'])], lease: '2s', wait: '20s', maxQueue: 1000 })
  @Idempotent({ lease: '2s', wait: '20s' })
  @UseGuards(LearnerGuard)
  async redeem(
    @Lease() lease: Lease,
    @Param('id', ParseIntPipe) policyId: number,
    @Body() body: Fields,
    @Headers('idempotency-key') key: string,
    @Headers('x-learner') learner: string,
  ): Promise<Receipt> {
    return this.redemptions.redeem(lease, { policyId, learner, amount: cents(body, 'amount') }, `${learner} ${key}`);
  }
}

function cents(body: Fields, field: string): number {
  const value = body?.[field];
  if (typeof value !== 'number' || !Number.isInteger(value) || value <= 0 || value > 1_000_000_000)
    throw new BadRequestException(`${field} must be a whole number of cents, at least 1`);
  return value;
}

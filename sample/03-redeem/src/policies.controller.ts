import {
  BadRequestException,
  Body,
  Controller,
  Get,
  Headers,
  NotFoundException,
  Param,
  Post,
  Res,
} from '@nestjs/common';
import { ParseIntPipe } from '@nestjs/common';
import type { ServerResponse } from 'node:http';
import { CacheLock, Lease } from 'nestjs-tiered-cache';
import { Database } from './database.js';
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

  // The number, not the text: '1' and '01' are one policy.
  @Post(':id/redeem')
  @CacheLock({ key: ({ params }) => ['policy', Number(params['id'])], lease: '2s', wait: '20s', maxQueue: 1000 })
  async redeem(
    @Lease() lease: Lease,
    @Param('id', ParseIntPipe) policyId: number,
    @Body() body: Fields,
    @Headers('idempotency-key') key: string | undefined,
    @Res({ passthrough: true }) response: ServerResponse,
  ): Promise<Receipt> {
    if (!key || key.length > 200) throw new BadRequestException('give the request a name: Idempotency-Key: <a UUID>');
    const learner = body?.['learner'];
    if (typeof learner !== 'string' || learner === '') throw new BadRequestException('learner must be a name');
    const request = { policyId, learner, amount: cents(body, 'amount') };
    const { receipt, isReplay } = await this.redemptions.redeem(lease, request, key);
    if (isReplay) response.setHeader('idempotent-replayed', 'true');
    return receipt;
  }
}

function cents(body: Fields, field: string): number {
  const value = body?.[field];
  if (typeof value !== 'number' || !Number.isInteger(value) || value <= 0 || value > 1_000_000_000)
    throw new BadRequestException(`${field} must be a whole number of cents, at least 1`);
  return value;
}

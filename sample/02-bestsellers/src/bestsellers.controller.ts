import { BadRequestException, Controller, Get, Header, Param, Post, Res } from '@nestjs/common';
import type { Response } from 'express';
import { CacheService, type CacheCounters } from 'nestjs-tiered-cache';
import { BestsellersService, FRESH_FOR_MS, type Bestsellers } from './bestsellers.service.js';
import { MODES, Upstream, type Mode } from './upstream.js';

@Controller()
export class BestsellersController {
  constructor(
    private readonly bestsellers: BestsellersService,
    private readonly upstream: Upstream,
    private readonly cache: CacheService,
  ) {}

  @Get('bestsellers/:country')
  @Header('cache-control', 'no-store')
  async top(
    @Param('country') country: string,
    @Res({ passthrough: true }) response: Pick<Response, 'setHeader'>,
  ): Promise<Bestsellers> {
    if (!/^[A-Za-z]{2}$/.test(country)) throw new BadRequestException('country must be two letters, e.g. DE');
    const asked = performance.now();
    const { queries } = this.upstream;
    const top = await this.bestsellers.topOf(country.toUpperCase());
    const ageMs = Date.now() - top.computedAt;
    const isNew = this.upstream.queries > queries && ageMs < performance.now() - asked;
    response.setHeader('x-answer', isNew ? 'computed' : ageMs < FRESH_FOR_MS ? 'fresh' : 'stale');
    response.setHeader('x-age-ms', String(ageMs));
    response.setHeader('x-response-time-ms', (performance.now() - asked).toFixed(1));
    return top;
  }

  @Post('upstream/:mode')
  turn(@Param('mode') mode: string): { mode: Mode } {
    if (!MODES.includes(mode as Mode)) throw new BadRequestException(`mode must be one of ${MODES.join(', ')}`);
    this.upstream.mode = mode as Mode;
    return { mode: this.upstream.mode };
  }

  @Get('upstream')
  state(): { mode: Mode; queries: number; cache: Readonly<CacheCounters> } {
    return { mode: this.upstream.mode, queries: this.upstream.queries, cache: this.cache.stats() };
  }
}

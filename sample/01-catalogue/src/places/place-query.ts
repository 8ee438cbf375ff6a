import { BadRequestException } from '@nestjs/common';
import type { PlaceQuery } from './place.js';

const SORTS = ['relevance', 'population', 'name'] as const;
const MAX_IDS = 100;

/** What a search depends on. */
export const SEARCH_PARAMETERS = ['q', 'country', 'sort', 'page'];

type Parameters = Readonly<Record<string, string | undefined>>;

/** The query in one spelling, so that what means the same shares a cache entry. */
export function placeQuery({ q = '', country = '', sort = 'relevance', page = '1' }: Parameters): PlaceQuery {
  const order = SORTS.find((name) => name === sort);
  if (order === undefined) throw new BadRequestException(`sort must be one of ${SORTS.join(', ')}`);
  if (!/^[1-9]\d{0,4}$/.test(page)) throw new BadRequestException('page must be a whole number from 1 to 99999');
  if (typeof country !== 'string' || !/^([A-Za-z]{2})?$/.test(country))
    throw new BadRequestException('country must be a code of two letters');
  if (typeof q !== 'string' || q.length > 100)
    throw new BadRequestException('q must be a text of at most 100 characters');
  return { q: q.trim().toLowerCase(), country: country.toUpperCase(), sort: order, page: Number(page) };
}

/** Reads `1,2,3`. */
export function placeIds(ids: unknown): number[] {
  const parts = typeof ids === 'string' ? ids.split(',') : [];
  if (parts.length === 0 || parts.length > MAX_IDS || !parts.every((part) => /^\d{1,12}$/.test(part))) {
    throw new BadRequestException(`ids must be 1 to ${MAX_IDS} whole numbers separated by commas`);
  }
  return parts.map(Number);
}

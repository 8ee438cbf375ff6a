import { BadRequestException } from '@nestjs/common';
import { CATEGORIES, LEVELS } from './course.entity.js';

/** Which page of which list. */
export interface CourseQuery {
  readonly filter: CourseFilter;
  readonly search: string;
  readonly page: number;
}

export interface CourseFilter {
  readonly category?: string;
  readonly level?: string;
}

/** What a list depends on. Nothing else of a query reaches the handler, and nothing else can split the cache. */
export const LIST_PARAMETERS = ['category', 'level', 'search', 'page'];

type Parameters = Readonly<Record<string, string | undefined>>;

export function courseQuery({ category, level, search = '', page = '1' }: Parameters): CourseQuery {
  if (!/^[1-9]\d{0,3}$/.test(page)) throw new BadRequestException('page must be a whole number from 1 to 9999');
  if (typeof search !== 'string' || search.length > 100)
    throw new BadRequestException('search must be a text of at most 100 characters');
  const filter = { ...oneOf('category', category, CATEGORIES), ...oneOf('level', level, LEVELS) };
  return { filter, search: search.trim().toLowerCase(), page: Number(page) };
}

function oneOf(name: keyof CourseFilter, value: unknown, known: readonly string[]): CourseFilter {
  if (value === undefined) return {};
  if (typeof value === 'string' && known.includes(value)) return { [name]: value };
  throw new BadRequestException(`${name} must be one of ${known.join(', ')}`);
}

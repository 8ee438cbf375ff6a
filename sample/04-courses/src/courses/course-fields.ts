import { BadRequestException } from '@nestjs/common';
import { CATEGORIES, LEVELS, type Course } from './course.entity.js';

type CourseFields = Omit<Course, 'id'>;

const CHECKS: { readonly [Field in keyof CourseFields]: readonly [wanted: string, is: (value: unknown) => boolean] } = {
  title: ['a text of 1 to 200 characters', (value) => typeof value === 'string' && /^.{1,200}$/.test(value)],
  category: [`one of ${CATEGORIES.join(', ')}`, (value) => CATEGORIES.includes(value as never)],
  level: [`one of ${LEVELS.join(', ')}`, (value) => LEVELS.includes(value as never)],
  price: ['a whole number of cents', (value) => Number.isInteger(value) && (value as number) >= 0],
};

/** Those of a course that the body has. */
export function someFields(body: unknown): Partial<CourseFields> {
  const given = typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {};
  const known = Object.entries(CHECKS).filter(([field]) => field in given);
  for (const [field, [wanted, is]] of known)
    if (!is(given[field])) throw new BadRequestException(`${field} must be ${wanted}`);
  return Object.fromEntries(known.map(([field]) => [field, given[field]]));
}

export function allFields(body: unknown): CourseFields {
  const fields = someFields(body);
  const missing = Object.keys(CHECKS).find((field) => !(field in fields));
  if (missing !== undefined) throw new BadRequestException(`${missing} is missing`);
  return fields as CourseFields;
}

/**
 * So many entries are asked for or written at once: a store that is given more than it can carry out within one deadline would be taken for
 * one that does not answer.
 */
export const MOST_ENTRIES = 250;
/** The same for what is less work: removals, tokens. */
export const MOST_NAMES = 500;

/** `items` in their order, at most `size` at a time. */
export function* portionsOf<T>(items: readonly T[], size: number): Generator<readonly T[]> {
  if (items.length <= size) return void (yield items);
  for (let from = 0; from < items.length; from += size) yield items.slice(from, from + size);
}

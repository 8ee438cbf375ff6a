/** The most hits there can be: always give up the key that is needed last, be it the one that has just come. */
export function beladyHits(trace: readonly string[], maxEntries: number): number;

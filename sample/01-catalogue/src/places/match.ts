/** Lower case without accents. @example fold('São Paulo') // 'sao paulo' */
export function fold(text: string): string {
  return text.normalize('NFD').replaceAll(/\p{M}/gu, '').toLowerCase();
}

/** How well a folded name answers a folded query: 5 equal, 4 begins with it, 3 a word begins with it, 2 holds it, 1 but for a typo, 0 not. */
export function score(name: string, query: string): number {
  const at = name.indexOf(query);
  if (at === 0) return name.length === query.length ? 5 : 4;
  if (at > 0) return /[\s'-]/.test(name[at - 1] as string) ? 3 : 2;
  if (query.length < 4) return 0;
  return name.split(/[\s'-]+/).some((word) => editDistance(word, query) <= 1) ? 1 : 0;
}

// One row for all calls: the search compares every name of the world.
let row = new Uint16Array(128);

/** How many letters must be changed, added or left out to get from one text to the other. */
export function editDistance(a: string, b: string): number {
  if (row.length <= b.length) row = new Uint16Array(b.length * 2);
  for (let j = 0; j <= b.length; j++) row[j] = j;
  for (let i = 1; i <= a.length; i++) {
    let diagonal = row[0] as number;
    row[0] = i;
    for (let j = 1; j <= b.length; j++) {
      const above = row[j] as number;
      const change = diagonal + (a.charCodeAt(i - 1) === b.charCodeAt(j - 1) ? 0 : 1);
      row[j] = Math.min(change, above + 1, (row[j - 1] as number) + 1);
      diagonal = above;
    }
  }
  return row[b.length] as number;
}

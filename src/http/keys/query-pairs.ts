/** Parsers stop reading somewhere around a thousand pairs, so that far more than a form has cannot be reordered without a change of meaning. */
const MOST = 200;

/**
 * A raw query string with its pairs in the order of their names; pairs that a parser may combine keep their own order (`a=1&a=2`,
 * `a[]=1&a=2`, `%61=1&a=2`). As it came, if its meaning might depend on the order of all: malformed names, a fragment, very many pairs.
 * (RFC 9111 4; no other spelling is folded.)
 */
export function sortedQuery(search: string): string {
  if (!search.includes('&') || search.includes('#')) return search;
  const pairs = search.split('&');
  if (pairs.length > MOST) return search;
  const named: Array<readonly [root: string, pair: string]> = [];
  for (const pair of pairs) {
    const root = rootName(pair);
    if (root === undefined) return search;
    named.push([root, pair]);
  }
  // Stable by definition; by code unit, so that every process sorts alike.
  named.sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0));
  return named.map((entry) => entry[1]).join('&');
}

/** The property of the parsed query that a pair ends up in, or a shorter name if parsers disagree about it. */
function rootName(pair: string): string | undefined {
  const end = pair.indexOf('=');
  const raw = (end === -1 ? pair : pair.slice(0, end)).replaceAll('+', ' ');
  let name = raw;
  if (raw.includes('%')) {
    try {
      name = decodeURIComponent(raw);
    } catch {
      return undefined;
    }
  }
  const start = /^\[*/.exec(name)?.[0].length ?? 0;
  const cut = name.slice(start).search(/[=.[\]]/);
  return cut === -1 ? name.slice(start) : name.slice(start, start + cut);
}

interface Preference {
  readonly range: string;
  readonly quality: number;
}

/** The ranges of an `Accept` or `Accept-Language` header, the most wanted first (RFC 9110 12.4.2); refused ones (`q=0`) last. */
export function preferences(header: string): Preference[] {
  return header
    .split(',')
    .map((item) => {
      const [range = '', ...parameters] = item.split(';').map((text) => text.trim().toLowerCase());
      const q = parameters.find((text) => /^q\s*=/.test(text));
      const quality = q === undefined ? 1 : Number(q.slice(q.indexOf('=') + 1));
      return { range, quality: quality >= 0 && quality <= 1 ? quality : 0 };
    })
    .filter(({ range }) => range !== '')
    .sort((a, b) => b.quality - a.quality);
}

/** The supported language that serves `header` best (RFC 4647 3.4 lookup, then filtering); the first one if none does. */
export function preferredLanguage(header: string | undefined, supported: readonly string[]): string {
  const first = supported[0] as string;
  if (header === undefined) return first;
  const wanted = preferences(header);
  const refused = new Set(wanted.filter(({ quality }) => quality === 0).map(({ range }) => range));
  for (const { range, quality } of wanted) {
    if (quality === 0) break;
    if (range === '*') return supported.find((tag) => !refused.has(tag.toLowerCase())) ?? first;
    for (let prefix = range; prefix !== ''; prefix = prefix.slice(0, Math.max(0, prefix.lastIndexOf('-')))) {
      const found = supported.find((tag) => tag.toLowerCase() === prefix);
      if (found !== undefined) return found;
    }
    const narrower = supported.find((tag) => tag.toLowerCase().startsWith(`${range}-`));
    if (narrower !== undefined) return narrower;
  }
  return first;
}

/** The offered media type that serves `header` best, the earlier one of two equals (RFC 9110 12.5.1); `undefined` if none does. */
export function preferredType(header: string | undefined, offered: readonly string[]): string | undefined {
  if (header === undefined || header.trim() === '') return offered[0];
  const wanted = preferences(header);
  let best: string | undefined;
  let bestQuality = 0;
  for (const type of offered) {
    const quality = qualityOf(type.toLowerCase(), wanted);
    if (quality > bestQuality) [best, bestQuality] = [type, quality];
  }
  return best;
}

/** Of the ranges that match, the most specific one decides. */
function qualityOf(type: string, wanted: readonly Preference[]): number {
  const essence = type.split(';', 1)[0]?.trim() ?? '';
  for (const range of [essence, `${essence.split('/', 1)[0]}/*`, '*/*']) {
    const match = wanted.find((preference) => preference.range === range);
    if (match !== undefined) return match.quality;
  }
  return 0;
}

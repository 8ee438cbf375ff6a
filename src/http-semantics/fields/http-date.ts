const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const DAY = '(?:mon|tue|wed|thu|fri|sat|sun)';
const LONG_DAY = '(?:monday|tuesday|wednesday|thursday|friday|saturday|sunday)';
const MONTH = `(${MONTHS.join('|')})`;
const TIME = '(\\d\\d):(\\d\\d):(\\d\\d)';

const IMF_FIXDATE = new RegExp(`^${DAY}, (\\d\\d) ${MONTH} (\\d{4}) ${TIME} GMT$`, 'i');
const RFC_850 = new RegExp(`^${LONG_DAY}, (\\d\\d)-${MONTH}-(\\d\\d) ${TIME} GMT$`, 'i');
const ASCTIME = new RegExp(`^${DAY} ${MONTH} (\\d\\d| \\d) ${TIME} (\\d{4})$`, 'i');

const FIFTY_YEARS_MS = 50 * 365.25 * 86_400_000;

/**
 * Reads an HTTP-date in its three forms (RFC 9110 5.6.7), ignoring case (RFC 9111 4.2), guessing nothing: no other zone, no missing
 * comma, no one-digit hour. `undefined` where it is none.
 * @param now decides the century of an RFC 850 date: one more than 50 years ahead lies in the past
 */
export function parseHttpDate(text: string | undefined, now: number): number | undefined {
  if (text === undefined) return undefined;
  const value = text.trim();
  const fixed = IMF_FIXDATE.exec(value);
  if (fixed) return instant(fixed[3], fixed[2], fixed[1], fixed[4], fixed[5], fixed[6]);
  const asctime = ASCTIME.exec(value);
  if (asctime) return instant(asctime[6], asctime[1], asctime[2], asctime[3], asctime[4], asctime[5]);
  const old = RFC_850.exec(value);
  if (!old) return undefined;
  const century = Math.floor(new Date(now).getUTCFullYear() / 100) + 1;
  for (const prefix of [century, century - 1]) {
    const year = `${prefix}${old[3]}`;
    const at = instant(year, old[2], old[1], old[4], old[5], old[6]);
    if (at !== undefined && at <= now + FIFTY_YEARS_MS) return at;
  }
  return instant(`${century - 2}${old[3]}`, old[2], old[1], old[4], old[5], old[6]);
}

/** Writes an IMF-fixdate. @param at milliseconds since 1970 */
export function formatHttpDate(at: number): string {
  return new Date(at).toUTCString();
}

type Part = string | undefined;

/** A day or time that does not exist is no date; a leap second is the next one. */
function instant(year: Part, month: Part, day: Part, hour: Part, minute: Part, second: Part): number | undefined {
  const [y, d, h, m, s] = [Number(year), Number(day), Number(hour), Number(minute), Number(second)];
  if (h > 23 || m > 59 || s > 60) return undefined;
  const index = MONTHS.indexOf(String(month).toLowerCase());
  const at = new Date(0);
  at.setUTCFullYear(y, index, d);
  if (at.getUTCDate() !== d || at.getUTCMonth() !== index) return undefined;
  return at.setUTCHours(h, m, s, 0);
}

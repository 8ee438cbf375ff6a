import { durationMs } from '../../core/clock/duration.js';
import { fail, isSpan, type Check } from '../../option-checks.js';

const LONGEST_MS = durationMs('1d', 'period');

/** Of a relay: not nothing, and not so long that what a process left behind when it died is as good as forgotten. */
export const isPeriod: Check = (value, field) => {
  isSpan(value, field);
  if (durationMs(value as never, field) > LONGEST_MS) fail(field, 'at most 1d', value);
};

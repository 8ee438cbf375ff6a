import { describe, expect, it } from 'vitest';
import {
  entryReport,
  parseReport,
  releaseReport,
  tokenReport,
  updateReport,
} from '../../src/stores/redis/redis.reports.js';

const FRAME = Buffer.from([0, 1, 58, 46, 255]);
const KEY = 'stamp:default:{a:b.1}';

/** As the script puts it together. */
function update(key = KEY, time = '1763769600.045001'): Buffer {
  return Buffer.concat([Buffer.from(`${updateReport(key)}${time}:`), FRAME]);
}

describe('what the scripts publish', () => {
  it.each([
    ['entry', entryReport(KEY)],
    ['token', tokenReport(KEY)],
    ['released', releaseReport(KEY)],
  ])('is told apart: %s', (kind, message) => {
    expect(parseReport(Buffer.from(message))).toEqual({ kind, name: KEY });
  });

  it.each(['', '0', ':', '12:34.5:', KEY])('brings the frame of %j, and when it was written', (key) => {
    expect(parseReport(update(key))).toEqual({ kind: 'update', name: key, at: 1_763_769_600_045.001, frame: FRAME });
  });

  it.each(['1763769600.1', '0.999999'])('reads the time %s as seconds and microseconds, not as a fraction', (time) => {
    const [seconds, micros] = time.split('.').map(Number) as [number, number];
    expect(parseReport(update(KEY, time))).toMatchObject({ at: seconds * 1000 + micros / 1000 });
  });

  it('is not believed when it is cut short', () => {
    const whole = update();
    for (let end = 0; end < whole.length - FRAME.length; end++)
      expect(parseReport(whole.subarray(0, end)), `${end} bytes`).toBeUndefined();
  });

  it.each([
    'u',
    'u:',
    'u3',
    'u-1:a1.2:',
    'u3:abc',
    'u3:abc1:',
    'u3:abc1.2',
    'u3:abcx.2:',
    'u999999999999:abc1.2:',
    'x',
    '',
  ])('is not guessed at: %j', (message) => {
    expect(parseReport(Buffer.from(message))).toBeUndefined();
  });
});

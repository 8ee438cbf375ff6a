import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const room = fileURLToPath(new URL('../../src/http-semantics/', import.meta.url));
const sources = readdirSync(room, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => ({ file, text: readFileSync(room + file, 'utf8') }));

describe('the room', () => {
  it('imports nothing but itself and hashing: no Nest, no driver, no node:http', () => {
    const foreign = sources.flatMap(({ file, text }) =>
      [...text.matchAll(/from '([^']+)'/g)]
        .map((match) => match[1] as string)
        .filter((from) => from !== 'node:crypto' && !/^(\.\/|\.\.\/(?!\.\.))/.test(from))
        .map((from) => `${file} -> ${from}`),
    );
    expect(sources.length).toBeGreaterThan(20);
    expect(foreign).toEqual([]);
  });

  it('has no clock of its own', () => {
    const clocks = sources.filter(({ text }) => /Date\.now|new Date\(\)|performance\b|setTimeout/.test(text));
    expect(clocks.map(({ file }) => file)).toEqual([]);
  });
});

describe('the requirement list', () => {
  const tests = readdirSync(new URL('.', import.meta.url), { encoding: 'utf8' })
    .filter((file) => file.endsWith('.spec.ts'))
    .map((file) => readFileSync(new URL(file, import.meta.url), 'utf8'))
    .join('\n');
  const ids = Object.entries({ S: 11, K: 8, F: 6, C: 6, I: 4, O: 2 }).flatMap(([letter, count]) =>
    Array.from({ length: count }, (_, i) => `${letter}${i + 1}`),
  );

  it.each(ids)('%s names a test', (id) => {
    expect(tests).toMatch(new RegExp(`['"\`](?:[SKFCIO]\\d+ )*${id}(?: [SKFCIO]\\d+)*:`));
  });
});

import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { format } from 'prettier';
import { expect } from 'vitest';

const README = fileURLToPath(new URL('../../README.md', import.meta.url));

/** What a test has seen, as a row of the table. */
export interface Coverage {
  readonly by: string;
  readonly gone: string;
}

/** The table between the marks of this ORM says what the tests have seen. With `TC_WRITE_README=1` it is written first. */
export async function expectReadmeTable(orm: string, rows: readonly Coverage[]): Promise<void> {
  const marks = new RegExp(`(<!-- ${orm} coverage[^>]*-->\\n)[\\s\\S]*?(<!-- end -->)`);
  const text = readFileSync(README, 'utf8');
  expect(text).toMatch(marks);
  const lines = ['| written by | invalidated |', '| --- | --- |', ...rows.map(({ by, gone }) => `| ${by} | ${gone} |`)];
  const table = await format(lines.join('\n'), { parser: 'markdown' });
  const wanted = text.replace(marks, (_, begin: string, end: string) => `${begin}\n${table}\n${end}`);
  if (process.env['TC_WRITE_README']) writeFileSync(README, wanted);
  expect(readFileSync(README, 'utf8')).toBe(wanted);
}

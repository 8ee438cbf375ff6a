import { readFileSync, writeFileSync } from 'node:fs';
import type { Coverage } from './shown-entities.js';

const README = new URL('../../README.md', import.meta.url);

const WORDS: Readonly<Record<Coverage, string>> = {
  row: 'the row',
  'row and its lists': 'the row, and the lists it was or is in',
  'row and all lists': 'the row, and all lists',
  table: 'everything of the entity',
  nothing: '**nothing**',
};

/**
 * The table between the markers of the README as it is, and as the tests say that it must be. With `TC_WRITE_README=1` it is written first.
 */
export function coverageTable(
  name: string,
  calls: ReadonlyArray<{ call: string; covers: Coverage }>,
): { written: string; wanted: string } {
  const [begin, end] = [`<!-- coverage of ${name}: from the tests -->\n`, '<!-- end -->'];
  const rows = calls.map(({ call, covers }) => [call, WORDS[covers]] as const);
  const wanted = ['', ...table([['Call', 'Invalidates'], ...rows]), '', ''].join('\n');
  const readme = readFileSync(README, 'utf8');
  const from = readme.indexOf(begin) + begin.length;
  const to = readme.indexOf(end, from);
  if (from < begin.length || to < 0) return { written: `no lines ${begin}${end}`, wanted };
  if (process.env['TC_WRITE_README'] !== '1') return { written: readme.slice(from, to), wanted };
  writeFileSync(README, readme.slice(0, from) + wanted + readme.slice(to));
  return { written: wanted, wanted };
}

/** As prettier has it. */
function table(rows: ReadonlyArray<readonly [string, string]>): string[] {
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => (row[column] as string).length)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, i) => cell.padEnd(widths[i] as number)).join(' | ')} |`;
  const [head, ...body] = rows.map(line);
  return [head as string, `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`, ...body];
}

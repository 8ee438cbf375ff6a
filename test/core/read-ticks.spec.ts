import { describe, expect, it } from 'vitest';
import { READS_AT_ONCE } from '../../src/stores/contract/cache-store.js';
import { ReadTicks } from '../../src/core/flights/read-ticks.js';

/** Answers each question by its double. */
function collect(): { ticks: ReadTicks<number, number>; sent: number[]; ask: (question: number) => Promise<unknown> } {
  const sent: number[] = [];
  const ticks = new ReadTicks<number, number>((questions) => {
    sent.push(questions.length);
    return Promise.resolve(questions.map((question) => 2 * question));
  });
  const ask = (question: number): Promise<unknown> => {
    const tick = ticks.ask(question);
    const at = tick.questions.length - 1;
    return tick.answers.then((answers) => answers[at]);
  };
  return { ticks, sent, ask };
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

describe('questions of one tick', () => {
  it('are sent together at its end', async () => {
    const { sent, ask } = collect();
    const answers = numbers(19).map(ask);
    expect(sent).toEqual([]);
    expect(await Promise.all(answers)).toEqual(numbers(19).map((n) => 2 * n));
    expect(sent).toEqual([19]);
  });

  it('are on their way before it ends where they are many, and each is given its own answer', async () => {
    const { sent, ask } = collect();
    const answers = numbers(4 * READS_AT_ONCE).map(ask);
    expect(sent).toEqual([READS_AT_ONCE, 2 * READS_AT_ONCE]);
    expect(await Promise.all(answers)).toEqual(numbers(4 * READS_AT_ONCE).map((n) => 2 * n));
    expect(sent).toEqual([READS_AT_ONCE, 2 * READS_AT_ONCE, READS_AT_ONCE]);
  });

  it('leave nothing to the next', async () => {
    const { sent, ask } = collect();
    await Promise.all(numbers(READS_AT_ONCE).map(ask));
    await Promise.all(numbers(READS_AT_ONCE + 1).map(ask));
    await ask(1);
    expect(sent).toEqual([READS_AT_ONCE, READS_AT_ONCE, 1, 1]);
  });

  it('are refused alone, each batch by itself', async () => {
    const ticks = new ReadTicks<number, number>((questions) =>
      questions.includes(0) ? Promise.reject(new Error('no')) : Promise.resolve([...questions]),
    );
    const outcomes = await Promise.allSettled(
      numbers(READS_AT_ONCE + 1).map((question) => ticks.ask(question).answers),
    );
    expect(outcomes.map(({ status }) => status)).toEqual([
      ...Array<string>(READS_AT_ONCE).fill('rejected'),
      'fulfilled',
    ]);
  });
});

import { describe, expect, it } from 'vitest';
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
    const answers = numbers(100).map(ask);
    expect(sent).toEqual([20, 40]);
    expect(await Promise.all(answers)).toEqual(numbers(100).map((n) => 2 * n));
    expect(sent).toEqual([20, 40, 40]);
  });

  it('leave nothing to the next', async () => {
    const { sent, ask } = collect();
    await Promise.all(numbers(20).map(ask));
    await Promise.all(numbers(21).map(ask));
    await ask(1);
    expect(sent).toEqual([20, 20, 1, 1]);
  });

  it('are refused alone, each batch by itself', async () => {
    const ticks = new ReadTicks<number, number>((questions) =>
      questions.includes(0) ? Promise.reject(new Error('no')) : Promise.resolve([...questions]),
    );
    const outcomes = await Promise.allSettled(numbers(21).map((question) => ticks.ask(question).answers));
    expect(outcomes.map(({ status }) => status)).toEqual([...Array<string>(20).fill('rejected'), 'fulfilled']);
  });
});

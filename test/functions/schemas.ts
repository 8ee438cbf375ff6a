import type { SchemaIssue, StandardSchema } from '../../src/index.js';

export interface Payment {
  number: number;
  amount: number;
}

/** A Standard Schema by hand: `issues` says what is wrong, `make` what comes out. */
export function schema<Input, Output = Input>(
  issues: (value: unknown) => readonly SchemaIssue[],
  make: (value: Input) => Output = (value) => value as unknown as Output,
): StandardSchema<Input, Output> {
  return {
    '~standard': {
      version: 1,
      vendor: 'test',
      validate: (value) => {
        const found = issues(value);
        return found.length > 0 ? { issues: found } : { value: make(value as Input) };
      },
    },
  };
}

/** The same, with an answer that takes its time. */
export function later<Input, Output>(inner: StandardSchema<Input, Output>): StandardSchema<Input, Output> {
  const { validate } = inner['~standard'];
  return { '~standard': { ...inner['~standard'], validate: async (value) => validate(value) } };
}

export const payment = schema<Payment>(paymentIssues);

function paymentIssues(value: unknown): SchemaIssue[] {
  if (typeof value !== 'object' || value === null) return [{ message: `not a payment: ${String(value)}` }];
  return ['number', 'amount']
    .filter((field) => typeof (value as Record<string, unknown>)[field] !== 'number')
    .map((field) => ({
      message: `${field} is ${String((value as Record<string, unknown>)[field])}`,
      path: ['lines', 2, { key: field }],
    }));
}

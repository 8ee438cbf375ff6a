import type { Outcome } from './learner.js';

export interface Entry {
  readonly key: string;
  readonly amount: number;
}

/** What is wrong with the ledger, in words; nothing, if all is well. */
export function checkLedger(
  policy: { budget: number; spent: number },
  ledger: readonly Entry[],
  outcomes: readonly Outcome[],
): string[] {
  const problems: string[] = [];
  const redeemed = ledger.reduce((sum, { amount }) => sum + amount, 0);
  if (redeemed > policy.budget) problems.push(`the ledger holds ${redeemed}, the budget was ${policy.budget}`);
  if (redeemed !== policy.spent) problems.push(`the ledger holds ${redeemed}, the policy says ${policy.spent}`);
  const entries = new Map<string, Entry>();
  for (const entry of ledger) {
    if (entries.has(entry.key)) problems.push(`${entry.key} was redeemed twice`);
    entries.set(entry.key, entry);
  }
  for (const { key, amount, isGranted } of outcomes) {
    const entry = entries.get(key);
    entries.delete(key);
    if (isGranted && !entry) problems.push(`${key} was granted and is not in the ledger`);
    if (isGranted && entry && entry.amount !== amount)
      problems.push(`${key} was granted ${amount}, not ${entry.amount}`);
    if (!isGranted && entry) problems.push(`${key} was refused and is in the ledger`);
    // What was spent only grows: who was refused would be refused now.
    if (!isGranted && redeemed + amount <= policy.budget) problems.push(`${key} was refused ${amount} that were left`);
  }
  for (const key of entries.keys()) problems.push(`${key} is in the ledger and nobody asked for it`);
  return problems;
}

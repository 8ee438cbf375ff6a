import pg from 'pg';
import { setTimeout as sleep } from 'node:timers/promises';
import { checkLedger, type Entry } from './storm/check-ledger.js';
import { Fleet } from './storm/fleet.js';
import { Learner, type Outcome, type Retries } from './storm/learner.js';
import { Random } from './storm/random.js';

// Hundreds of learners redeem at once, from several processes that are stopped and killed while they hold the lock. Then the ledger is
// checked: exit code 1 if a cent is wrong. PROCESSES, REDEEMS, TROUBLES, SEED; FENCING=off shows what a lock alone is worth.

const { DATABASE_URL, CACHE_URL, CACHE_LOCK_URL } = process.env;
if (!DATABASE_URL || !(CACHE_LOCK_URL || CACHE_URL)) {
  console.error(
    'Several processes need a PostgreSQL and a Redis: DATABASE_URL=postgres://... CACHE_URL=redis://... npm run storm',
  );
  process.exit(1);
}
const processes = Number(process.env['PROCESSES'] || 4);
const redeems = Number(process.env['REDEEMS'] || 500);
const seed = Number(process.env['SEED'] || Date.now() % 1_000_000);
// A process is stopped or killed after each so many answers.
const every = Math.max(1, Math.floor(redeems / Number(process.env['TROUBLES'] || 16)));
const random = new Random(seed);
const database = new pg.Pool({ connectionString: DATABASE_URL, options: '-c search_path=redeem' });

async function ask<Row extends object>(text: string, values: unknown[]): Promise<Row[]> {
  return (await database.query<Row>(text, values)).rows;
}

async function one<Row extends object>(text: string, values: unknown[]): Promise<Row> {
  return (await ask<Row>(text, values))[0] as Row;
}

let policyId = 0;
const fleet = new Fleet(processes, random, () => one('SELECT holder, fence FROM policy WHERE id = $1', [policyId]));
process.once('exit', () => void fleet.end('SIGKILL')).once('SIGINT', () => process.exit(130));
await fleet.start();
// On average a learner wants 3: about a third of them come too late.
const budget = redeems * 2;
policyId = (await one<{ id: number }>('INSERT INTO policy (budget) VALUES ($1) RETURNING id', [budget])).id;

const retries: Retries = new Map();
const learners = Array.from({ length: redeems }, () => new Learner(policyId, random, () => fleet.pick(), retries));
const began = performance.now();
const troubles: Array<Promise<void>> = [];
let ended = 0;
const progress = setInterval(() => console.error(`${ended} of ${redeems} have their answer`), 5000);

async function redeem(learner: Learner): Promise<Outcome> {
  const outcome = await learner.redeem();
  // Paced by what gets done, so that it ends on a slow machine, too.
  if (++ended % every === 0) troubles.push(fleet.trouble());
  return outcome;
}

const outcomes = await Promise.all(learners.map(redeem));
clearInterval(progress);
const seconds = (performance.now() - began) / 1000;
await Promise.all(troubles);
// Who was stopped comes late now; give them the time to do their worst.
await sleep(500);
await fleet.end('SIGTERM');

const policy = await one<{ budget: number; spent: number }>('SELECT budget, spent FROM policy WHERE id = $1', [
  policyId,
]);
const ledger = await ask<Entry>('SELECT idempotency_key AS key, amount FROM ledger WHERE policy_id = $1', [policyId]);
await database.end();
const problems = checkLedger(policy, ledger, outcomes);
const granted = outcomes.filter(({ isGranted }) => isGranted).length;
const report = {
  seed,
  processes,
  redeems,
  seconds: Number(seconds.toFixed(1)),
  ...policy,
  granted,
  refused: redeems - granted,
  ...fleet.troubles,
  retries: Object.fromEntries(retries),
  problems,
};
console.log(JSON.stringify(report, undefined, 2));
process.exitCode = problems.length > 0 ? 1 : 0;

import { describe, expect, it } from 'vitest';
import { Mutant, type Mutation } from './mutant.js';

const SCRIPTS = 'stores/redis/redis.lock-scripts';
const KEEPER = 'locks/lease-keeper';
const ENGINE = 'locks/lock-engine';
const SERVICE = 'locks/cache-lock.service';

/** An acceptance test, what it is to show by failing, and how that is broken. */
type Case = readonly [number: number, mechanism: string, spec: string, mutation: Mutation];

const unlocked: Mutation = {
  module: 'locks/nest/cache-lock.guard',
  find: 'const call = await lockHttpCall(this.calls, context, plan);',
  replace: 'const call = await lockHttpCall(this.calls, context, { ...plan, key: String(Math.random()) });',
};
const fence: Mutation = {
  module: 'locks/fencing/fenced-update',
  find: ' AND ${column} <= ${token}${returning}',
  replace: '${returning}',
};

const CASES: readonly Case[] = [
  [1, 'one lock for one resource', 'locks/nest/cache-lock.http.spec.ts', unlocked],
  [
    2,
    'the lock outlives the answer while the handler runs',
    'locks/nest/endings.http.spec.ts',
    { module: 'locks/nest/http-locked-call', find: 'this.isOver || this.running > 0 || ', replace: 'this.isOver || ' },
  ],
  [
    2,
    'the lock outlives the handler while the response is unsent',
    'locks/nest/endings.http.spec.ts',
    { module: 'locks/nest/http-locked-call', find: ' || !(this.finished || this.closed)', replace: '' },
  ],
  [
    2,
    'work is not torn down with its listener',
    'locks/nest/messages.spec.ts',
    { module: 'locks/nest/run-locked', find: 'if (!isTornDown)', replace: 'if (0 > 1)' },
  ],
  [
    3,
    'a release compares the owner',
    'locks/cache-lock.service.spec.ts',
    { module: SCRIPTS, find: "if not isMine and (not lock or ARGV[1] ~= '') then", replace: 'if not lock then' },
  ],
  [
    4,
    'a lock ends with its lease',
    'locks/processes.spec.ts',
    { module: SCRIPTS, find: "'|' .. fence, 'PX', ms)", replace: "'|' .. fence, 'PX', 100 * ms)" },
  ],
  [
    5,
    'who is handed the lock must hear it',
    'locks/processes.spec.ts',
    { module: SCRIPTS, find: "if heard ~= 0 or blind == '1' then", replace: 'if true then' },
  ],
  [
    6,
    'a timer of its own ends a lease',
    'locks/faults.redis.spec.ts',
    { module: KEEPER, find: 'const at = Math.min(this.renewAt, this.deadline);', replace: 'const at = this.renewAt;' },
  ],
  [
    7,
    'assertHeld reads the clock',
    'locks/processes.spec.ts',
    { module: KEEPER, find: 'else if (now >= this.deadline)', replace: 'else if (now >= Infinity)' },
  ],
  [
    8,
    'acquiring is idempotent by owner',
    'locks/faults.redis.spec.ts',
    { module: SCRIPTS, find: '= holder()\nif owner == me then', replace: "= holder()\nif owner == '' then" },
  ],
  [
    9,
    'what may have been granted is given back',
    'locks/faults.redis.spec.ts',
    {
      module: 'locks/lock-acquisition',
      find: 'isUncertain ||= error instanceof LockStoreUnavailableError && error.wasSent;',
      replace: '',
    },
  ],
  [
    10,
    'a fence is never below the time',
    'locks/faults.redis.spec.ts',
    { module: SCRIPTS, find: "= time[1] .. string.sub('00000' .. time[2], -6)", replace: "= '0'" },
  ],
  [11, 'the database compares fences', 'locks/fencing.spec.ts', fence],
  [
    12,
    'a lease is renewed at its third',
    'locks/faults.redis.spec.ts',
    { module: KEEPER, find: '(this.leaseMs / 3) * (1 - JITTER', replace: '(this.leaseMs / 100) * (1 - JITTER' },
  ],
  [
    13,
    'a result outlives its lock',
    'locks/cache-lock.service.spec.ts',
    { module: SERVICE, find: "if (loss && plan.onLost === 'fail')", replace: 'if (loss)' },
  ],
  [
    14,
    'keys of locks carry no stamp',
    'nest/locks.spec.ts',
    {
      module: 'stores/redis/redis.lock-keyspace',
      find: 'return `${this.prefix}:lk:${key}`;',
      replace: 'return `${this.prefix}:lk:${this.instance}${key}`;',
    },
  ],
  [
    15,
    'clear() writes one token',
    'nest/locks.spec.ts',
    {
      module: 'stores/redis/redis.scripts',
      find: 'local token = mint(ARGV[1])\n',
      replace: "local token = mint(ARGV[1])\nredis.call('FLUSHDB')\n",
    },
  ],
  [
    16,
    'the first in the queue is served first',
    'locks/processes.spec.ts',
    {
      module: SCRIPTS,
      find: "call('ZPOPMIN', KEYS[3])",
      replace: "call('ZPOPMAX', KEYS[3])",
    },
  ],
  [
    17,
    'several keys are taken in one order',
    'locks/cache-lock.service.spec.ts',
    { module: 'locks/lock-key', find: 'return [...encoded].sort()', replace: 'return [...encoded]' },
  ],
  [
    18,
    'every part of a key is there',
    'locks/nest/cache-lock.http.spec.ts',
    { module: 'locks/nest/lock-route-key', find: "part !== '' && PARTS.has(typeof part)", replace: 'part !== 0' },
  ],
  [
    19,
    'who leaves waits no longer',
    'locks/nest/cache-lock.http.spec.ts',
    { module: 'locks/lock-acquisition', find: 'this.plan.signal?.throwIfAborted();', replace: '' },
  ],
  [
    20,
    'a shutdown refuses who waits',
    'nest/locks.spec.ts',
    { module: ENGINE, find: 'this.isEnding = true;', replace: '' },
  ],
  [
    20,
    'a shutdown leaves locks of running work alone',
    'nest/locks.spec.ts',
    {
      module: ENGINE,
      find: 'this.isEnding = true;',
      replace: 'this.isEnding = true;for (const keeper of this.keepers.keys()) void this.release(keeper);',
    },
  ],
  [
    21,
    'a key is that of one user',
    'locks/nest/idempotent.http.spec.ts',
    { module: 'locks/nest/idempotent-record', find: 'return encodeKey([principal]);', replace: "return 'everybody';" },
  ],
  [
    21,
    '"under way" is a lease',
    'locks/nest/idempotent.http.spec.ts',
    {
      module: 'locks/nest/idempotent.guard',
      find: '{ ...plan.lock, key, status: 409 }',
      replace: "{ ...plan.lock, key, status: 409, lease: '24h' }",
    },
  ],
  [22, 'the database compares fences', 'locks/random-schedule.spec.ts', fence],
];

describe('the acceptance tests of locks are all there, and each fails without what it is for', () => {
  it('by number', () => {
    expect(new Set(CASES.map(([number]) => number))).toEqual(new Set(Array.from({ length: 22 }, (_, i) => i + 1)));
  });

  it.each(CASES)('4.14 #%i: %s', async (number, _mechanism, spec, mutation) => {
    await using mutant = await Mutant.make(mutation);
    const { failed } = await mutant.test(`test/${spec}`, `4.14 #${number}`);
    expect(failed).not.toEqual([]);
  });
});

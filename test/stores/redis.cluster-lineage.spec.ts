import { EventEmitter } from 'node:events';
import type { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { RedisClusterLineage } from '../../src/stores/redis/redis.cluster-lineage.js';
import type { RedisMasters } from '../../src/stores/redis/redis.masters.js';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => void vi.useRealTimers());

class FakeNode extends EventEmitter {
  readonly status = 'ready';
  readonly info = vi.fn<() => Promise<string>>();
  constructor(run: string) {
    super();
    this.tells(run);
  }
  tells(run: string): void {
    this.info.mockImplementation(async () => `# Server\r\nrun_id:${run}\r\n`);
  }
  refuses(message: string): void {
    this.info.mockRejectedValue(Object.assign(new Error(message), { name: 'ReplyError' }));
  }
}

function subject() {
  const nodes = [new FakeNode('aaaaaaaaaaaa'), new FakeNode('bbbbbbbbbbbb')] as const;
  const all = new Map(nodes.map((node, i) => [`host:${i}`, node as unknown as Redis]));
  let seen = (): void => undefined;
  const watch = (watcher: () => void): void => void (seen = watcher);
  const masters = { all, watch, look: () => undefined } as unknown as RedisMasters;
  const changed = vi.fn();
  const lineage = new RedisClusterLineage(async () => undefined, changed);
  const mark = async () => (await lineage.mark('read', async () => ['t']))[0];
  /** The driver has learned that a server is a master, or is none. */
  const turn = (address: string, node?: FakeNode): void => {
    if (node) all.set(address, node as unknown as Redis);
    else all.delete(address);
    seen();
  };
  return { nodes, all, masters, changed, lineage, mark, turn };
}

it.each(['BUSY Redis is busy running a script', 'LOADING Redis is loading the dataset', 'NOPERM this user'])(
  'a master that has refused to tell its run (%s) is asked again until it does',
  async (message) => {
    const { nodes, masters, changed, lineage, mark } = subject();
    const [, busy] = nodes;
    busy.refuses(message);
    lineage.watch(masters);
    const first = await mark();
    // Nothing waits for it meanwhile.
    expect(lineage.known()).toBeUndefined();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(busy.info).toHaveBeenCalledTimes(2);
    expect(await mark()).toBe(first);
    busy.tells('bbbbbbbbbbbb');
    await vi.advanceTimersByTimeAsync(10_000);
    expect(await mark()).not.toBe(first);
    // What was read under the mark of before is not to be believed.
    expect(changed).toHaveBeenCalledTimes(1);
    expect(nodes.map(({ info }) => info.mock.calls.length)).toEqual([1, 3]);
    expect(vi.getTimerCount()).toBe(0);
  },
);

it('nobody is asked again who is no master any more, has gone, or after the end', async () => {
  const { nodes, all, masters, lineage, mark } = subject();
  for (const node of nodes) node.refuses('BUSY');
  lineage.watch(masters);
  await mark();
  nodes[0].emit('close');
  all.delete('host:1');
  await vi.advanceTimersByTimeAsync(10_000);
  expect(nodes.map(({ info }) => info.mock.calls.length)).toEqual([1, 1]);

  const other = subject();
  other.nodes[0].refuses('BUSY');
  other.lineage.watch(other.masters);
  await other.mark();
  other.lineage.close();
  expect(vi.getTimerCount()).toBe(0);
});

it.each(['has told its run', 'is telling its run'])(
  'a master that is none for a moment, as another server sees it, when it %s, counts again',
  async (when) => {
    const { nodes, masters, lineage, mark, turn } = subject();
    const [, flapping] = nodes;
    lineage.watch(masters);
    const first = await mark();
    turn('host:1');
    const without = await mark();
    expect(without).not.toBe(first);
    if (when === 'is telling its run') {
      turn('host:1', flapping);
      turn('host:1');
    }
    turn('host:1', flapping);
    await vi.waitFor(async () => {
      await lineage.known();
      expect(await mark()).toBe(first);
    });
    expect(lineage.known()).toBeUndefined();
  },
);

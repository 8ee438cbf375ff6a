import { beforeEach, afterEach, expect, it, vi } from 'vitest';
import { RedisCommonServer } from '../../src/stores/redis/redis.common-server.js';
import type { KnownServer } from '../../src/stores/redis/redis.lineage.js';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }));
afterEach(() => void vi.useRealTimers());

function subject(server: KnownServer | undefined) {
  const commands = { server, leave: vi.fn(), askAgain: vi.fn() };
  const leaveNews = vi.fn();
  const settled = vi.fn();
  return { commands, leaveNews, settled, common: new RedisCommonServer(commands, leaveNews, settled) };
}

it('asks commands again, and leaves nothing, where they were not told whose run they are on', () => {
  const { commands, leaveNews, settled, common } = subject({ run: '', since: 1 });
  common.listenTo({ run: 'a', since: 2 });
  expect(settled).toHaveBeenLastCalledWith(false);
  expect(commands.askAgain).toHaveBeenCalledTimes(1);
  vi.advanceTimersByTime(10_000);
  expect(commands.askAgain).toHaveBeenCalledTimes(2);
  expect(commands.leave).not.toHaveBeenCalled();
  expect(leaveNews).not.toHaveBeenCalled();
  commands.server = { run: 'a', since: 3 };
  common.compare();
  expect(settled).toHaveBeenLastCalledWith(true);
  expect(vi.getTimerCount()).toBe(0);
});

it('leaves the connection for news where that was not told, be it the older one or not', () => {
  for (const since of [1, 3]) {
    const { commands, leaveNews, common } = subject({ run: 'a', since: 2 });
    common.listenTo({ run: '', since });
    expect(leaveNews).toHaveBeenCalledTimes(1);
    expect(commands.leave).not.toHaveBeenCalled();
    common.listenTo(undefined);
  }
});

it('compares again while commands stay where they are, and then lets news look for who is at the address by now', () => {
  const { commands, leaveNews, common } = subject({ run: 'a', since: 1 });
  common.listenTo({ run: 'b', since: 2 });
  expect(commands.leave).toHaveBeenCalledTimes(1);
  vi.advanceTimersByTime(9_999);
  expect(leaveNews).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1);
  expect(leaveNews).toHaveBeenCalledTimes(1);
  expect(commands.leave).toHaveBeenCalledTimes(1);
  common.listenTo(undefined);
  expect(vi.getTimerCount()).toBe(0);
});

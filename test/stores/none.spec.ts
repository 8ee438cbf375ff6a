import { expect, it } from 'vitest';
import { NoneStore } from '../../src/stores/none/none.store.js';
import { RecordingListener } from '../../src/testing/recording-listener.js';

it('the none store keeps nothing, grants everything and hears nothing', async () => {
  const store = new NoneStore();
  const heard = new RecordingListener();
  store.open(heard);
  expect(store.capabilities.stores).toBe(false);
  expect(await store.write()).toEqual({ written: false });
  expect(await store.acquire()).toEqual({ outcome: 'lease', grantedAt: 0 });
  expect(await store.fill()).toBe(false);
  expect(await store.read(['a', 'b'])).toEqual([undefined, undefined]);
  expect(await store.tokens(['t'])).not.toEqual(await store.tokens(['t']));
  expect(heard.count('heard')).toBe(0);
  await store.close();
});

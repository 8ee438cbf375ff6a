import { AsyncLocalStorage } from 'node:async_hooks';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { OwnStorage } from '../../src/core/own-storage.js';
import { GivenContexts } from '../../src/http/contexts/given-contexts.js';
import { HandlerContexts } from '../../src/http/contexts/handler-contexts.js';
import { storageWatch, unheard } from '../../src/http/contexts/storage-watch.js';

// The methods that all storages of a process share are wrapped. They do what they did.

const NAMES = ['getStore', 'run', 'enterWith'] as const;
const prototype = AsyncLocalStorage.prototype;
/** As it is before anybody watches. */
const runUnseen = prototype.run;
const before = NAMES.map((name) => Object.getOwnPropertyDescriptor(prototype, name) as PropertyDescriptor);

const given: GivenContexts[] = [];
function begin(ignored: object[] = []): { readonly noted: () => number; stop(): void } {
  const note = vi.fn();
  const contexts = new GivenContexts(new HandlerContexts(new Set(ignored)), note);
  given.push(contexts);
  return { noted: () => note.mock.calls.filter(([input]) => input === 'context').length, stop: () => contexts.stop() };
}
beforeEach(() => void storageWatch());
afterEach(() => given.splice(0).forEach((contexts) => contexts.stop()));

describe.each([true, false])('while somebody listens: %s', (isListening) => {
  beforeEach(() => void (isListening && begin()));

  it('the methods are what they were, from outside', () => {
    for (const [at, name] of NAMES.entries()) {
      const { value, ...rest } = Object.getOwnPropertyDescriptor(prototype, name) as PropertyDescriptor;
      const { value: original, ...was } = before[at] as PropertyDescriptor;
      expect(rest).toEqual(was);
      expect([value.name, value.length]).toEqual([original.name, original.length]);
    }
    expect(Object.keys(prototype)).toEqual([]);
  });

  it('a run passes its arguments, its result, its error, its lack of a `this`, and puts back what was there', () => {
    const storage = new AsyncLocalStorage<number>();
    const seen = storage.run(
      1,
      function (this: unknown, ...args: unknown[]) {
        return [this, args, storage.getStore(), storage.run(2, () => storage.getStore()), storage.getStore()];
      },
      'a',
      'b',
    );
    expect(seen).toEqual([null, ['a', 'b'], 1, 2, 1]);
    expect(() =>
      storage.run(3, () => {
        throw new RangeError('mine');
      }),
    ).toThrow(new RangeError('mine'));
    expect(() => storage.run(3, undefined as never)).toThrow(TypeError);
    expect(storage.getStore()).toBeUndefined();
    expect(() => prototype.getStore.call(undefined as never)).toThrow(TypeError);
  });
});

it('what is read while a run begins, by whoever does, is not of interest; what is read in it is', () => {
  const storage = new AsyncLocalStorage<string>();
  storage.run('given', () => {
    const one = begin();
    storage.run('mine', () => expect(storage.getStore()).toBe('mine'));
    unheard(() => storage.run('mine', () => storage.exit(() => storage.getStore())));
    expect(() => storage.run('mine', () => JSON.parse('{'))).toThrow(SyntaxError);
    expect(one.noted()).toBe(0);
    storage.run('mine', () => storage.run('given', () => storage.getStore()));
    storage.getStore();
    expect(one.noted()).toBe(1);
  });
});

it('whoever has ended hears nothing, and nobody is left to listen', () => {
  const storage = new AsyncLocalStorage<string>();
  storage.run('given', () => {
    const [one, two] = [begin(), begin()];
    one.stop();
    one.stop();
    storage.getStore();
    expect([one.noted(), two.noted()]).toEqual([0, 1]);
    two.stop();
  });
  expect(storageWatch().ears.size).toBe(0);
});

it('a store of a storage that nobody was seen to fill is given to all who have begun before', () => {
  const storage = new AsyncLocalStorage<string>();
  const [early, ended] = [begin(), begin()];
  storage.getStore();
  ended.stop();
  runUnseen.call(storage as AsyncLocalStorage<unknown>, 'unseen', () => {
    storage.getStore();
    expect([early.noted(), ended.noted()]).toEqual([1, 0]);
    const late = begin();
    storage.run('mine', () => storage.getStore());
    expect(late.noted()).toBe(0);
  });
});

it('storages of this package, and what is ignored, are nobody’s input', () => {
  const [own, ignored] = [new OwnStorage<string>(), new AsyncLocalStorage<string>()];
  own.run('a', () =>
    ignored.run('b', () => {
      const one = begin([ignored]);
      expect([own.getStore(), ignored.getStore()]).toEqual(['a', 'b']);
      expect(one.noted()).toBe(0);
    }),
  );
});

it.each([undefined, null, {}, { context: null }, { context: {} }, 'text'])(
  'whatever is registered as OpenTelemetry’s does no harm: %j',
  (registered) => {
    const api = Symbol.for('opentelemetry.js.api.1');
    Reflect.set(globalThis, api, registered);
    const storage = new AsyncLocalStorage<string>();
    const one = storage.run('a', () => {
      const begun = begin();
      storage.getStore();
      return begun;
    });
    Reflect.deleteProperty(globalThis, api);
    expect(one.noted()).toBe(1);
  },
);

it('another copy of this package listens at the same watch', async () => {
  const wrapped = NAMES.map((name) => prototype[name]);
  vi.resetModules();
  const copy = await import('../../src/http/contexts/given-contexts.js');
  const { HandlerContexts: Contexts } = await import('../../src/http/contexts/handler-contexts.js');
  expect(copy.GivenContexts).not.toBe(GivenContexts);
  const storage = new AsyncLocalStorage<string>();
  storage.run('given', () => {
    const note = vi.fn();
    const theirs = new copy.GivenContexts(new Contexts(new Set()), note);
    const ours = begin();
    storage.getStore();
    theirs.stop();
    expect([note.mock.calls.length, ours.noted()]).toEqual([1, 1]);
  });
  expect(NAMES.map((name) => prototype[name])).toEqual(wrapped);
});

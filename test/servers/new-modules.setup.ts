import { AsyncLocalStorage } from 'node:async_hooks';
import { afterAll, vi } from 'vitest';

// Before each spec of a process that runs several: modules of this project are evaluated anew, so that specs share what Node and third-party
// packages keep, and nothing of ours. To load those is most of what a short spec takes.
vi.resetModules();

// On Node 20 each storage that was ever used costs every promise of the process, those of modules that are gone, too. Once for the process, and
// never undone: who wraps these methods after us, as auto-vary does, does it once, too.
const USED = Symbol.for('tests: used storages');
const shared = globalThis as { [USED]?: Set<AsyncLocalStorage<unknown>> };
const used = (shared[USED] ??= watchedStorages());

function watchedStorages(): Set<AsyncLocalStorage<unknown>> {
  const storages = new Set<AsyncLocalStorage<unknown>>();
  const { run, enterWith } = AsyncLocalStorage.prototype;
  for (const [name, use] of Object.entries({ run, enterWith }))
    Object.assign(AsyncLocalStorage.prototype, {
      [name](this: AsyncLocalStorage<unknown>, ...args: unknown[]): unknown {
        storages.add(this);
        return Reflect.apply(use, this, args);
      },
    });
  return storages;
}

const environment = { ...process.env };
afterAll(() => {
  for (const storage of used) storage.disable();
  used.clear();
  for (const name of Object.keys(process.env)) if (!(name in environment)) delete process.env[name];
  Object.assign(process.env, environment);
});

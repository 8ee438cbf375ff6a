import { CacheEngine } from '../../../dist/core/cache-engine.js';
import { redis } from '../../../dist/stores/redis/index.js';

// Uses the Redis at argv[2], closes the engine, and has nothing more to do: the process must end by itself.
const [url] = process.argv.slice(2);
const engine = new CacheEngine({ store: redis({ url }) });
engine.open();
const cache = engine.namespace('default');
for (let i = 0; i < 20; i++) await cache.getOrSet(`k${i}`, () => i);
// A load is under way when the engine is asked to close.
let finish;
const slow = cache.getOrSet('slow', () => new Promise((resolve) => (finish = resolve)));
while (finish === undefined) await new Promise((resolve) => setImmediate(resolve));
const drained = engine.drain();
finish('served');
await drained;
await engine.close();
const value = await slow;
const after = await cache.getOrSet('after', () => 'loaded');
process.stdout.write(JSON.stringify({ value, after, ...engine.inspect() }));

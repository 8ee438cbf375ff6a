import { openEngine } from './engine.mjs';
import { now } from '../servers/machine.clock.mjs';

const [, , port, callers, loaderMs] = process.argv.map(Number);
const cache = (await openEngine({ port })).namespace('default');

process.on('message', async ({ key, at }) => {
  let loads = 0;
  let spent = 0;
  const load = async () => {
    loads++;
    const started = now();
    await new Promise((resolve) => setTimeout(resolve, loaderMs));
    spent = now() - started;
    return { key };
  };
  await new Promise((resolve) => setTimeout(resolve, at - Date.now()));
  const began = now();
  await Promise.all(Array.from({ length: callers }, () => cache.getOrSet(key, load)));
  process.send({ loads, began, ended: now(), loaderMs: spent });
});
process.on('disconnect', () => process.exit());
process.send('ready');

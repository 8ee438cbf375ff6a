/**
 * The worker's side of forkWorker(): answers calls over the IPC channel and ends with its parent.
 * @param {Record<string, (...args: any[]) => unknown>} methods
 */
export function serve(methods) {
  process.on('message', async ({ id, method, args }) => {
    try {
      if (!Object.hasOwn(methods, method)) throw new Error(`this worker has no method "${method}"`);
      process.send({ id, result: await methods[method](...args) });
    } catch (error) {
      const { message = String(error), name = 'Error', code } = error ?? {};
      process.send({ id, error: { message, name, ...(typeof code === 'string' && { code }) } });
    }
  });
  process.on('disconnect', () => process.exit());
  process.send({ ready: true });
}

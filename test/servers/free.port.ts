import { createServer } from 'node:net';

// Below the usual ephemeral range (32768 and up): a port there can be taken by any program's outgoing connection at any time.
const FIRST = 20_000;
const COUNT = 12_000;

/** A loopback port that nobody listens on right now. Another process may still be quicker: callers retry on EADDRINUSE. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 50; attempt++) {
    const port = FIRST + Math.floor(Math.random() * COUNT);
    if (await isFree(port)) return port;
  }
  throw new Error(`no free loopback port found between ${FIRST} and ${FIRST + COUNT}`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen({ port, host: '127.0.0.1', exclusive: true }, () => probe.close(() => resolve(true)));
  });
}

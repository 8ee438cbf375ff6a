import { createConnection } from 'node:net';

const TIMEOUT_MS = 5000;

/**
 * Sends one command over a connection of its own, so that tests can steer a server without our client; resolves to the lines of its answer.
 * @throws Error when the server hangs up or does not answer in time
 * @example await memcachedCommand(20001, 'mg key v t') // ['VA 2 t10', 'hi']
 */
export function memcachedCommand(port: number, line: string, data?: string): Promise<string[]> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = createConnection({ port, host: '127.0.0.1' });
    const settle = (action: () => void): void => {
      clearTimeout(timer);
      socket.destroy();
      action();
    };
    const fail = (message: string): void => settle(() => reject(new Error(`${line} on port ${port}: ${message}`)));
    const timer = setTimeout(() => fail(`no answer within ${TIMEOUT_MS} ms`), TIMEOUT_MS);
    socket.on('error', (error) => fail(error.message));
    socket.on('end', () => fail('the server closed the connection'));
    // What answers the `mn` behind it ends the answer, however many lines it has.
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      text += chunk;
      if (text.endsWith('MN\r\n')) settle(() => resolve(text.split('\r\n').slice(0, -2)));
    });
    socket.write(`${line}\r\n${data === undefined ? '' : `${data}\r\n`}mn\r\n`);
  });
}

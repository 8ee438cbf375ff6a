import { Http2ServerRequest } from 'node:http2';
import type { InputName } from './input-name.js';
import type { PatchedRequest } from './patched-request.js';
import { recordedSocket } from './recorded-socket.js';

/** Node's names for the connection. */
export const SOCKETS = ['socket', 'connection', 'client'];

/** Watches the connection of a request, by whatever name, and whatever others have put in its place. @param targets the framework's and Node's */
export function recordConnection(
  patched: PatchedRequest,
  targets: readonly object[],
  raw: object,
  note: (name: InputName) => void,
): void {
  const socket = Reflect.get(raw, 'socket') as unknown;
  const recorded = typeof socket === 'object' && socket !== null ? recordedSocket(patched, socket, note) : undefined;
  for (const target of targets)
    for (const name of SOCKETS) {
      const isConnection = recorded !== undefined && Reflect.get(target, name) === socket;
      if (isConnection && target === raw) patched.replace(raw, name, () => recorded);
      // `req.client`: who calls, by a guard.
      if (!isConnection && Object.hasOwn(target, name)) patched.watch(target, name, () => note(`request:${name}`));
    }
  // Its session leads to the connection.
  if (raw instanceof Http2ServerRequest) patched.watch(raw, 'stream', () => note('request:stream'));
}

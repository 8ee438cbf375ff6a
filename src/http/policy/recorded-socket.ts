import type { InputName } from './input-name.js';

/** What a connection says of its client, besides what others have hung on it. */
const OF_THE_CLIENT: ReadonlySet<PropertyKey> = new Set([
  'remotePort',
  'alpnProtocol',
  'authorizationError',
  'authorized',
  'exportKeyingMaterial',
  'getCipher',
  'getEphemeralKeyInfo',
  'getFinished',
  'getPeerCertificate',
  'getPeerFinished',
  'getPeerX509Certificate',
  'getProtocol',
  'getSession',
  'getTLSTicket',
  'isSessionReused',
  'servername',
  'ssl',
]);
const ADDRESS: ReadonlySet<PropertyKey> = new Set(['remoteAddress', 'remoteFamily', '_peername', '_getpeername']);
/** What Node puts on connections, besides names with an underscore and symbols. */
const OF_NODE: ReadonlySet<PropertyKey> = new Set([
  'allowHalfOpen',
  'connecting',
  'encrypted',
  'localAddress',
  'localFamily',
  'localPort',
  'on',
  'parser',
  'secureConnecting',
  'server',
  'timeout',
]);

/** `socket`, reporting what is read of its client. Its methods work on the socket itself: streams do not know their proxies. */
export function recordedSocket<T extends object>(socket: T, report: (input: InputName) => void): T {
  return new Proxy(socket, {
    get(target, name) {
      if (ADDRESS.has(name)) report('ip');
      else if (OF_THE_CLIENT.has(name) || isHungOn(target, name)) report(`request:socket.${String(name)}`);
      const value = Reflect.get(target, name) as unknown;
      return typeof value === 'function' && name !== 'constructor' ? (value.bind(target) as unknown) : value;
    },
    set: (target, name, value) => Reflect.set(target, name, value),
  });
}

/** By others than Node; or not, but perhaps on another connection. */
function isHungOn(socket: object, name: string | symbol): boolean {
  if (typeof name !== 'string' || name.startsWith('_') || OF_NODE.has(name)) return false;
  return Object.hasOwn(socket, name) || (!(name in socket) && name !== 'then' && name !== 'toJSON');
}

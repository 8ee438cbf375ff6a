import type { InputName } from './input-name.js';
import type { PatchedRequest } from './patched-request.js';

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

type Report = (input: InputName) => void;

interface Recorded {
  readonly shown: object;
  /** Of the requests that are under way on it, most often one. */
  readonly reports: Set<Report>;
}

const known = new WeakMap<object, Recorded>();

/**
 * `socket`, reporting what is read of its client until `patched` is restored. One for all requests of a connection: whoever keeps things by
 * their connection, as Nest does its listeners, finds them again. Its methods work on the socket itself: streams do not know their proxies.
 */
export function recordedSocket<T extends object>(patched: PatchedRequest, socket: T, report: Report): T {
  let recorded = known.get(socket);
  if (recorded === undefined) known.set(socket, (recorded = makeRecorded(socket)));
  const { shown, reports } = recorded;
  reports.add(report);
  patched.whenRestored(() => reports.delete(report));
  return shown as T;
}

function makeRecorded(socket: object): Recorded {
  const reports = new Set<Report>();
  const tell = (input: InputName): void => {
    for (const report of reports) report(input);
  };
  const shown = new Proxy(socket, {
    get(target, name) {
      if (ADDRESS.has(name)) tell('ip');
      else if (OF_THE_CLIENT.has(name) || isHungOn(target, name)) tell(`request:socket.${String(name)}`);
      const value = Reflect.get(target, name) as unknown;
      return typeof value === 'function' && name !== 'constructor' ? (value.bind(target) as unknown) : value;
    },
    set: (target, name, value) => Reflect.set(target, name, value),
  });
  return { shown, reports };
}

/** By others than Node; or not, but perhaps on another connection. */
function isHungOn(socket: object, name: string | symbol): boolean {
  if (typeof name !== 'string' || name.startsWith('_') || OF_NODE.has(name)) return false;
  return Object.hasOwn(socket, name) || (!(name in socket) && name !== 'then' && name !== 'toJSON');
}

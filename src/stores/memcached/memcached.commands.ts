import { CacheUsageError } from '../../core/errors/cache.error.js';

/** A command with its data, and by which answers it may be answered. All others are a reason to part. */
export interface MemcachedCommand {
  readonly text: string;
  readonly answers: readonly string[];
}

/** How long a key may be, in bytes. */
export const LONGEST_KEY = 250;

/** Does nothing. `CLIENT_ERROR`: the server wants a password first. */
export const NOOP: MemcachedCommand = { text: 'mn\r\n', answers: ['MN', 'CLIENT_ERROR'] };

/** To be sent to a server that asks for it only: any other would keep the password as a value. */
export function login(username: string, password: string): MemcachedCommand {
  const data = `${username} ${password}`;
  return { text: `set auth 0 0 ${Buffer.byteLength(data)}\r\n${data}\r\n`, answers: ['STORED', 'CLIENT_ERROR'] };
}

/** Reads the value, its `c` (version) and its `t` (seconds left). `EN`: there is none. */
export function read(key: string): MemcachedCommand {
  return { text: `mg ${checked(key)} v c t\r\n`, answers: ['VA', 'EN'] };
}

/** `NS`: there is one already. */
export function add(key: string, value: string, seconds: number): MemcachedCommand {
  return { text: `ms ${checked(key)} ${sizeOf(value)} T${seconds} ME\r\n${value}\r\n`, answers: ['HD', 'NS'] };
}

/** `EX`: the value is another one since `version` was read. `NF`: there is none any more. */
export function replace(key: string, value: string, seconds: number, version: string): MemcachedCommand {
  const text = `ms ${checked(key)} ${sizeOf(value)} T${seconds} C${version}\r\n${value}\r\n`;
  return { text, answers: ['HD', 'EX', 'NF'] };
}

/** As {@link replace}; without `version` whatever is there. */
export function remove(key: string, version?: string): MemcachedCommand {
  const text = `md ${checked(key)}${version === undefined ? '' : ` C${version}`}\r\n`;
  return { text, answers: ['HD', 'EX', 'NF'] };
}

function sizeOf(value: string): number {
  return Buffer.byteLength(value);
}

/** A key with white space in it would be a command of its own. */
function checked(key: string): string {
  if (key.length <= LONGEST_KEY && /^[\x21-\x7e]+$/.test(key)) return key;
  throw new CacheUsageError(
    'invalid_key',
    `a key of memcached is 1 to ${LONGEST_KEY} printable ASCII characters without white space`,
  );
}

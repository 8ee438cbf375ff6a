import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { encodeKey } from '../../core/keys/key-encoding.js';
import type { KeyPart } from '../../core/cache.options.js';
import { unreadBodyOf } from './unread-body.js';

/** What a request was answered. Without a body: it was carried out, and its answer is not to be had any more. */
export interface IdempotentRecord {
  readonly fingerprint: string;
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: Buffer;
}

export function encodeRecord({ fingerprint, status, headers, body }: IdempotentRecord): string {
  return JSON.stringify({ v: 1, fingerprint, status, headers, body: body?.toString('base64') });
}

/** `undefined`: of another version of this package. */
export function decodeRecord(text: string): IdempotentRecord | undefined {
  const { v, body, ...record } = JSON.parse(text) as IdempotentRecord & { v: number; body?: string };
  if (v !== 1) return undefined;
  return { ...record, ...(body !== undefined && { body: Buffer.from(body, 'base64') }) };
}

/** What a fingerprint is made of. */
export interface FingerprintedRequest {
  readonly method: string;
  readonly originalUrl?: string;
  readonly url: string;
  readonly headers: Readonly<IncomingHttpHeaders>;
  readonly body?: unknown;
}

/** Of what a request asks for; the order of a JSON object's fields does not matter. */
export function fingerprintOf({ method, originalUrl, url, headers, body }: FingerprintedRequest): string {
  const hash = createHash('sha256').update(`${method} ${originalUrl ?? url}\n`);
  if (body instanceof Uint8Array) return hash.update(body).digest('base64url');
  return hash.update(body === undefined ? unreadBodyOf(headers) : canonical(body)).digest('base64url');
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? '';
  const fields = value as Record<string, unknown>;
  const names = Object.keys(fields).sort();
  return `{${names.map((name) => `${JSON.stringify(name)}:${canonical(fields[name])}`).join(',')}}`;
}

/** Part of a key: two principals never look alike. */
export function principalOf(principal: KeyPart): string {
  return encodeKey([principal]);
}

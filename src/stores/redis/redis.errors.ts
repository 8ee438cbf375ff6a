import { StoreUnavailableError } from '../../core/errors/cache.error.js';

/** Hides the driver's error, which carries the command's arguments (values, passwords); of a refusal only its code word stays. */
export function unavailable(operation: string, error: unknown): StoreUnavailableError {
  if (error instanceof StoreUnavailableError) return error;
  const code = refusalCode(error);
  return code === undefined
    ? new StoreUnavailableError('redis', operation, 'connection')
    : new StoreUnavailableError('redis', operation, 'refused', code);
}

/** The server's code word, such as `OOM` or `NOSCRIPT`; `undefined` if it was not the server that refused. */
export function refusalCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || error.name !== 'ReplyError') return undefined;
  return /^[A-Z]{2,20}\b/.exec(error.message)?.[0] ?? 'ERR';
}

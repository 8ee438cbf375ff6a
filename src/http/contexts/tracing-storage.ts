/** Where @opentelemetry/api keeps what is registered with it. */
const API = Symbol.for('opentelemetry.js.api.1');

interface Registered {
  readonly context?: { readonly _asyncLocalStorage?: unknown };
}

/** Whether a storage is OpenTelemetry's, where spans find their parents: read at every step, and no answer depends on it. */
export function isTracingStorage(storage: object): boolean {
  const registered = (globalThis as { [API]?: Registered | null })[API];
  return registered?.context?._asyncLocalStorage === storage;
}
